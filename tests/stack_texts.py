"""
Texts of stack files, and what is said of them.
"""

import pytest

from runbook_lib.core.errors import ParameterError


def service(text):
    return f"services:\n  one:\n    image: x\n    {text}\n"


def error_of(stack, *texts, **how):
    with pytest.raises(ParameterError) as told:
        stack(*texts, **how)
    return str(told.value)
