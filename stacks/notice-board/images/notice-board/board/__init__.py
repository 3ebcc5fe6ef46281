"""
A notice board, and the heartbeat of the nodes that it runs on.
"""
