"""
IAM policies evaluated: who may do what on which resource.
"""
