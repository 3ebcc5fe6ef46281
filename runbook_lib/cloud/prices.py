"""
The price of the cluster per hour, from AWS's price list.
"""

import json
from typing import TYPE_CHECKING

import pandas as pd

from runbook_lib.cloud.instances import Wanted
from runbook_lib.core.errors import ParameterError

if TYPE_CHECKING:
    from mypy_boto3_pricing import PricingClient

PRICING_REGION = "us-east-1"
"""Few regions serve the price list; this one has the prices of all."""

IPV4_USD_PER_HOUR = 0.005
"""A public IPv4 address in use. Source: https://aws.amazon.com/vpc/pricing/"""

GP3_USD_PER_GIB_MONTH = 0.08
"""A gp3 disk in us-east-1. Source: https://aws.amazon.com/ebs/pricing/"""

HOURS_PER_MONTH = 730


def instance_usd_per_hour(pricing: "PricingClient", instance_type: str, region: str) -> float:
    """
    The on-demand price of a Linux instance.

    Raises ParameterError where the price list has no such instance type in that region.
    """
    fields = {
        "instanceType": instance_type,
        "regionCode": region,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    answer = pricing.get_products(
        ServiceCode="AmazonEC2",
        Filters=[{"Type": "TERM_MATCH", "Field": f, "Value": v} for f, v in fields.items()],
    )
    if not answer["PriceList"]:
        raise ParameterError(
            f"expected a price for {instance_type!r} in {region!r}; the price list has none",
            next_step="correct instance_type or region; the guide's is t2.micro",
        )
    product = json.loads(str(answer["PriceList"][0]))
    (term,) = product["terms"]["OnDemand"].values()
    (dimension,) = term["priceDimensions"].values()
    return float(dimension["pricePerUnit"]["USD"])


def cost_table(wanted: list[Wanted], instance_usd: float) -> pd.DataFrame:
    """
    The bill per hour; columns: what, quantity, usd_per_hour. The last row is the total.
    """
    disk_gib = sum(w.disk_gib for w in wanted)
    rows = [
        ("instances", f"{len(wanted)}", len(wanted) * instance_usd),
        ("public IPv4 addresses", f"{len(wanted)}", len(wanted) * IPV4_USD_PER_HOUR),
        ("gp3 disks", f"{disk_gib} GiB", disk_gib * GP3_USD_PER_GIB_MONTH / HOURS_PER_MONTH),
    ]
    total = ("total", "", sum(row[2] for row in rows))
    return pd.DataFrame([*rows, total], columns=["what", "quantity", "usd_per_hour"])
