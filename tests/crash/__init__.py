"""
Runs that are killed at each effect, and run again.
"""
