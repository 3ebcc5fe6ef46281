"""
Analysis of a recording: throughput, bottlenecks, CPU credits, costs, number of workers.
"""
