"""
The command line: up, status, down, serve, and the preflight check.
"""
