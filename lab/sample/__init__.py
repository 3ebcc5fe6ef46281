"""
The sample data set: NASA's Blue Marble as tiles, zipped in parts.
"""
