"""
The services of Geo-Diff's work stack: one package, one command per service.
"""
