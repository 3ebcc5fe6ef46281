"""
The helper library under the notebooks: flat modules, each one noun of the field.

Imports go strictly downward; wiring the nouns together is what the notebooks are for.
"""
