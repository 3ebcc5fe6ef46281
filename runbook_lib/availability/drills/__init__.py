"""
Drills: break one part under load, measure the recovery, restore everything.
"""
