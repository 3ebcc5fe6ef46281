"""
From a Compose file to services that run: images built, stack deployed, convergence awaited.
"""
