"""
Load tests (notebooks 1N): from a recording to the number of workers.
"""
