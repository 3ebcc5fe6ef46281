"""
Instances as machines: containers with systemd, their life cycle, network and firewall.
"""
