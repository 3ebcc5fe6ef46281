"""
Programs that run on an instance with nothing but Python's standard library.
"""
