"""
Images made without a registry: Debian bases, the instances, and what answers for Docker Hub.
"""
