"""
The AWS endpoint: moto behind our front door, with what moto lacks.
"""
