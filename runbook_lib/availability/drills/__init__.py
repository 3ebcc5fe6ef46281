"""
Break one part under load, measure the recovery, restore everything.
"""
