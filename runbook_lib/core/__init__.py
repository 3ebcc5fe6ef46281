"""
The basis of every room: errors, changes, checks, waiting, parallel work, the project's folders.
"""
