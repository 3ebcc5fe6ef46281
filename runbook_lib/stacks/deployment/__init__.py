"""
What a deployment does: its files and secrets, its plan, the history, and what it leaves unused.
"""
