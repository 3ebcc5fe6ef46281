"""
Images built without a registry: Debian bases, the machine image, and the stand-in for Docker Hub.
"""
