"""
Put the work stack under load, and record it; or record any stack as it is.
"""
