"""
What every room needs: the lab's configuration, its error, processes, files and mounts.
"""
