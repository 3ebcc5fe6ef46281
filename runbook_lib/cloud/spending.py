"""
What runs now, and what it has cost so far, as far as EC2 itself can tell.

EC2 knows when an instance was last started and when a disk was made. So this is a lower limit:
what ran before that start and what is terminated by now is not counted, nor are traffic, S3, CPU
credits beyond those earned, taxes and discounts. Disks and addresses have the prices of us-east-1.
The bill is in AWS's Cost Explorer, by the tag runbook:cluster where an administrator activates it.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

from runbook_lib.cloud.instances import ALIVE, describe
from runbook_lib.cloud.preflight import (
    GP3_USD_PER_GIB_MONTH,
    HOURS_PER_MONTH,
    IPV4_USD_PER_HOUR,
    instance_usd_per_hour,
)
from runbook_lib.cloud.roles import order
from runbook_lib.cloud.tags import EXPIRES_TAG, ROLE_TAG, find_tagged, tags_of

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_pricing import PricingClient

_COLUMNS = ["what", "role", "since", "hours", "usd_per_hour", "usd", "expires"]


def spending_table(
    ec2: "EC2Client", pricing: "PricingClient", cluster: str, region: str
) -> pd.DataFrame:
    """
    Return one row for each instance and disk that exists, and a total; no rows if none does.

    Columns: what, role, since (the last start, or when the disk was made, in UTC), hours,
    usd_per_hour (now), usd (since then), expires (the tag).
    """
    found = [i for i in describe(ec2, cluster) if i["State"]["Name"] in ALIVE]
    types = {str(i["InstanceType"]) for i in found}
    prices = {kind: instance_usd_per_hour(pricing, kind, region) for kind in types}
    rows = [_instance(one, prices) for one in found]
    rows += [_disk(one) for one in find_tagged(ec2, cluster, "describe_volumes", "Volumes[]")]
    rows.sort(key=lambda row: (order(row["role"]), row["what"]))
    if rows:
        sums = {name: sum(row[name] for row in rows) for name in ("usd_per_hour", "usd")}
        rows.append({"what": "total", "role": "", "since": None, "hours": None, **sums})
    return pd.DataFrame(rows, columns=_COLUMNS).round(4)


def _instance(raw: Any, prices: dict[str, float]) -> dict[str, Any]:  # noqa: ANN401 - a description by EC2
    state = raw["State"]["Name"]
    runs = state in ("pending", "running")
    address = IPV4_USD_PER_HOUR if raw.get("PublicIpAddress") else 0.0
    price = prices[raw["InstanceType"]] + address if runs else 0.0
    return _row(f"{raw['InstanceType']}, {state}", raw, raw["LaunchTime"], price)


def _disk(raw: Any) -> dict[str, Any]:  # noqa: ANN401 - a description by EC2
    price = raw["Size"] * GP3_USD_PER_GIB_MONTH / HOURS_PER_MONTH
    return _row(f"disk of {raw['Size']} GiB", raw, raw["CreateTime"], price)


def _row(what: str, raw: Any, since: datetime, price: float) -> dict[str, Any]:  # noqa: ANN401 - as above
    hours = max(0.0, (datetime.now(UTC) - since).total_seconds() / 3600)
    tags = tags_of(raw)
    return {
        "what": what,
        "role": tags.get(ROLE_TAG, "?"),
        "since": f"{since:%Y-%m-%d %H:%M}",
        "hours": round(hours, 2),
        "usd_per_hour": price,
        "usd": hours * price,
        "expires": tags.get(EXPIRES_TAG, "never swept"),
    }
