"""
The AWS endpoint: moto behind two endpoints of the lab, with the behaviour that moto lacks.
"""
