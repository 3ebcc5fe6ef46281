"""
Specific to Geo-Diff: tiles, segmentation results, RabbitMQ, the map, and the state of each step.
"""
