"""
One YAML document laid over another.

JSON Merge Patch (RFC 7386): mappings are merged, everything else replaces what was there, and null
takes it away. Compose's own merge adds lists to lists, so that a file could never take away a port.
"""

from collections.abc import Mapping
from typing import Any


def merged(under: Any, over: Any) -> Any:  # noqa: ANN401 - whatever YAML holds
    """
    What results where `over` is laid over `under`; neither is changed.
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
