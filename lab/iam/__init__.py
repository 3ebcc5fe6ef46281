"""
IAM: the permissions that a request needs, and the policies that grant them.
"""
