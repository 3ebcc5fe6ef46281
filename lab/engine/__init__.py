"""
The Docker engine of the host, and what the host's kernel and packages must offer.
"""
