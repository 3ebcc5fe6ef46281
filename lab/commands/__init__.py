"""
The commands: up, status, down, serve, and the preflight before them.
"""
