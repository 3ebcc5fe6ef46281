"""
What runs in the Swarm: services, containers, specifications, placement, convergence.
"""
