"""
EC2: instances, key pairs, security groups, prices, and the checks before anything is created.
"""
