"""
The autoscaler's policy replayed and simulated, and the recommended parameters.
"""
