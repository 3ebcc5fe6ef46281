"""
Compose v3 files with their values, read as Docker's command line reads them.
"""
