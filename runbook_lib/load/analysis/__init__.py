"""
What a recording means: throughput, bottlenecks, CPU credits, costs, how many workers.
"""
