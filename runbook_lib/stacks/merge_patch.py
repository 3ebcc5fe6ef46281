"""
An overlay applied to a YAML document.

JSON Merge Patch (RFC 7386): mappings are merged, everything else is replaced, and null removes.
Compose's own merge appends lists to lists, so that no file could remove a port.
"""

from collections.abc import Mapping
from typing import Any


def merged(under: Any, over: Any) -> Any:  # noqa: ANN401 - whatever YAML holds
    """
    Apply `over` to `under`; neither is changed.
    """
    if not isinstance(over, Mapping):
        return over
    result = dict(under) if isinstance(under, Mapping) else {}
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
