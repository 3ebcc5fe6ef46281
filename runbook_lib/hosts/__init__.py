"""
The instances as machines: SSH with pinned host keys, Docker installed, the firewall tested.
"""
