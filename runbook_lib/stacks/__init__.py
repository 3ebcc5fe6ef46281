"""
From a Compose file to running services: images built, stack deployed, convergence awaited.
"""
