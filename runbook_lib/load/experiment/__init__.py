"""
Put the work stack under load, and record it.
"""
