"""
The rehearsal cloud: an EC2 endpoint on this machine whose instances are real machines.

It speaks AWS's wire protocols and knows nothing of the runbook; the runbook knows nothing of it.
"""
