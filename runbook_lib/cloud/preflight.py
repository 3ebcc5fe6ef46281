"""
Checks before anything is created: permissions, price of the cluster.
"""

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from runbook_lib.cloud.instances import Wanted
from runbook_lib.cloud.launch import launch_request
from runbook_lib.cloud.tags import KEEP_H, expires_in, tag_list, tag_specifications
from runbook_lib.core.errors import AccessError, ParameterError
from runbook_lib.core.findings import first_line

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_pricing import PricingClient


def allowed_actions(
    ec2: "EC2Client", cluster: str, instance_type: str, image_id: str, root_device: str
) -> pd.DataFrame:
    """
    Test the runbook's permissions with DryRun requests to EC2; columns: action, answer.

    An answer is "allowed", "refused" with the right and its statement, or EC2's error.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html (DryRun)
    """
    tagged = partial(tag_specifications, tag_list(cluster, "dry"))
    one, expires = Wanted("dry", 8), expires_in(KEEP_H)
    launch = launch_request(cluster, one, instance_type, image_id, root_device, expires)
    never_used = Ed25519PrivateKey.generate().public_key()
    public_key = never_used.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)

    requests: dict[str, Any] = {
        "RunInstances": lambda: ec2.run_instances(**launch, DryRun=True),
        "CreateSecurityGroup": lambda: ec2.create_security_group(
            DryRun=True,
            GroupName=f"{cluster}-dry",
            Description="DryRun",
            TagSpecifications=tagged("security-group"),
        ),
        "ImportKeyPair": lambda: ec2.import_key_pair(
            DryRun=True,
            KeyName=f"{cluster}-dry",
            PublicKeyMaterial=public_key,
            TagSpecifications=tagged("key-pair"),
        ),
        "DescribeInstances": lambda: ec2.describe_instances(DryRun=True),
        "DescribeSecurityGroups": lambda: ec2.describe_security_groups(DryRun=True),
        "DescribeKeyPairs": lambda: ec2.describe_key_pairs(DryRun=True),
    }
    rows = [(f"ec2:{action}", _dry_run(request)) for action, request in requests.items()]
    return pd.DataFrame(rows, columns=["action", "answer"])


def _dry_run(request: Any) -> str:  # noqa: ANN401 - a call of a boto3 client
    try:
        request()
    except AccessError as error:
        return f"refused: {first_line(error)}"
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "DryRunOperation":
            return "allowed"
        return f"{code}: {error.response['Error']['Message']}"
    return "allowed"


PRICING_REGION = "us-east-1"
"""Few regions serve the price list; this one has all regions' prices."""

IPV4_USD_PER_HOUR = 0.005
"""A public IPv4 address in use. Source: https://aws.amazon.com/vpc/pricing/"""

GP3_USD_PER_GIB_MONTH = 0.08
"""A gp3 disk in us-east-1. Source: https://aws.amazon.com/ebs/pricing/"""

HOURS_PER_MONTH = 730


def instance_usd_per_hour(pricing: "PricingClient", instance_type: str, region: str) -> float:
    """
    Return the on-demand price of a Linux instance.

    Raises ParameterError if the price list lacks this instance type in the region.
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
    Return the cost per hour; columns: what, quantity, usd_per_hour. The last row is the total.
    """
    disk_gib = sum(w.disk_gib for w in wanted)
    rows = [
        ("instances", f"{len(wanted)}", len(wanted) * instance_usd),
        ("public IPv4 addresses", f"{len(wanted)}", len(wanted) * IPV4_USD_PER_HOUR),
        ("gp3 disks", f"{disk_gib} GiB", disk_gib * GP3_USD_PER_GIB_MONTH / HOURS_PER_MONTH),
    ]
    total = ("total", "", sum(row[2] for row in rows))
    return pd.DataFrame([*rows, total], columns=["what", "quantity", "usd_per_hour"])
