"""
An updater's record of latencies, as rows of a recording.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_BUCKETS_AT_MOST = 400
_MOST = 2**53

Row = tuple[datetime, str, float, float, float]


def latency_rows(record: Mapping[str, Any], node: str) -> list[Row]:
    """
    Return a row for each bucket, and one for results without a usable stamp.

    A record that is malformed has no rows: it must not end the stream of its node.
    """
    try:
        time = datetime.fromisoformat(record["time"]).astimezone(UTC)
        growth = float(record["growth"])
        pairs = [(int(bucket), int(count)) for bucket, count in record["buckets"]]
        without = int(record["unstamped"]) + int(record["absurd"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return []
    usable = 1 < growth <= 2 and len(pairs) <= _BUCKETS_AT_MOST and 0 <= without < _MOST
    if not usable or not all(0 <= i < _BUCKETS_AT_MOST and 0 < n < _MOST for i, n in pairs):
        return []
    rows = [
        (time, node, growth**i if i else 0.0, growth ** (i + 1), float(count)) for i, count in pairs
    ]
    return [*rows, (time, node, math.nan, math.nan, float(without))] if without else rows
