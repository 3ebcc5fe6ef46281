"""
A world that fails on purpose: faults that are armed by the command line, bounded and repeatable.
"""
