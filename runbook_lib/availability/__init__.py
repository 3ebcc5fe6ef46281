"""
Failures (notebooks 2N) and the guide's answers to them (3N).
"""
