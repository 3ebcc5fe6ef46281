"""
AWS: instances, keys, groups, roles, the bucket, prices, preflight; the lock, teardown and sweep.
"""
