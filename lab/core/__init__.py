"""
What every room needs: the lab's configuration, its error, locks and processes.
"""
