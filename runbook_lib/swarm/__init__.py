"""
The Docker Swarm: nodes, labels, managers, and the quorum counted before each change.
"""
