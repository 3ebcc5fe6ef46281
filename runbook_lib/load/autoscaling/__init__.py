"""
The autoscaler's policy replayed and simulated, and the parameters to recommend.
"""
