"""
What a stack builds and pulls: image references, build contexts, registries.
"""
