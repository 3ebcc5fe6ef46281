"""
Overlays: documents that change parts of a stack file.
"""

from collections.abc import Mapping
from typing import Any


def merged(under: Any, over: Any) -> Any:  # noqa: ANN401 - any YAML value
    """
    Apply an overlay to a document as JSON Merge Patch (RFC 7386); both stay unchanged.

    Mappings are merged, everything else is replaced, and null removes. Compose's own merge appends
    lists, so no file could remove a port.
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
