"""
Recorded load as tidy tables: ours, and the logs that the authors published.
"""
