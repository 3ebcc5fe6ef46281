"""
What every room needs: errors, changes, checks, waiting, parallel work, and where the project lies.
"""
