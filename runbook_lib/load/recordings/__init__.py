"""
Recorded load as tidy tables: our own recordings, and the authors' published logs.
"""
