"""
The Docker Swarm: nodes, labels and managers, with a quorum check before each change.
"""
