"""
Instances as machines: containers with systemd, their life cycle, and their firewall.
"""
