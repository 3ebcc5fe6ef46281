"""
From a Compose file to running services: images published, stack deployed, awaited, removed.
"""
