"""
A stack file checked against the live cluster, before anything is changed.
"""
