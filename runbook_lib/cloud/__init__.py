"""
EC2: instances, key pairs, security groups, prices, and what is checked before anything is made.
"""
