"""
The contract of a notebook: its template, the parameters it declares, and their values.
"""
