"""
The host of a lab: its Docker engine, found or started, the network, packages and kernel features.
"""
