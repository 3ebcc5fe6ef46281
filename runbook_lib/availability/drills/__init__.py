"""
Break one part under load, measure the recovery, put everything back.
"""
