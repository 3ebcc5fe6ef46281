"""
A second manager: the tiles backed up, failover and failback.
"""
