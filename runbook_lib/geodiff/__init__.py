"""
What only Geo-Diff has: tiles, segmentation results, RabbitMQ, the map, and the state of each step.
"""
