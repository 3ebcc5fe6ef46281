"""
The tiles in a bucket instead of on the manager's disk.
"""
