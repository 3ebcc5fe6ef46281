"""
Two services that moto lacks, answered from tables: list prices, and the vCPU quota.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

# USD per hour, Linux on demand, us-east-1: AWS's price list, unchanged for years.
# instance type: (price, vCPU, memory as the price list writes it)
PRICES = {
    "t2.nano": ("0.0058000000", "1", "0.5 GiB"),
    "t2.micro": ("0.0116000000", "1", "1 GiB"),
    "t2.small": ("0.0230000000", "1", "2 GiB"),
    "t2.medium": ("0.0464000000", "2", "4 GiB"),
    "t2.large": ("0.0928000000", "2", "8 GiB"),
    "t3.nano": ("0.0052000000", "2", "0.5 GiB"),
    "t3.micro": ("0.0104000000", "2", "1 GiB"),
    "t3.small": ("0.0208000000", "2", "2 GiB"),
    "t3.medium": ("0.0416000000", "2", "4 GiB"),
    "t3.large": ("0.0832000000", "2", "8 GiB"),
}
COMMON_ATTRIBUTES = {
    "servicecode": "AmazonEC2",
    "location": "US East (N. Virginia)",
    "locationType": "AWS Region",
    "regionCode": "us-east-1",
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "licenseModel": "No License required",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
    "currentGeneration": "Yes",
}
STANDARD_VCPU_QUOTA = "L-1216C47A"

Answer = tuple[int, dict[str, Any]]


def get_products(request: dict[str, Any]) -> Answer:
    """
    Answer pricing:GetProducts; filters match exactly, as AWS's TERM_MATCH does.
    """
    wanted = {item["Field"]: item["Value"] for item in request.get("Filters", [])}
    products = []
    if request.get("ServiceCode") == "AmazonEC2":
        for instance_type in PRICES:
            product = _product(instance_type)
            facts = product["product"]["attributes"] | {
                "ServiceCode": "AmazonEC2",
                "productFamily": product["product"]["productFamily"],
            }
            if all(facts.get(field) == value for field, value in wanted.items()):
                products.append(json.dumps(product))
    return 200, {"FormatVersion": "aws_v1", "PriceList": products}


def get_service_quota(request: dict[str, Any]) -> Answer:
    """
    Answer servicequotas:GetServiceQuota for the vCPUs of standard on-demand instances.
    """
    if (request.get("ServiceCode"), request.get("QuotaCode")) != ("ec2", STANDARD_VCPU_QUOTA):
        return 400, {
            "__type": "NoSuchResourceException",
            "Message": f"The lab knows only the quota {STANDARD_VCPU_QUOTA} of ec2.",
        }
    quota = {
        "ServiceCode": "ec2",
        "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
        "QuotaCode": STANDARD_VCPU_QUOTA,
        "QuotaName": "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
        "Value": 32.0,
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }
    return 200, {"Quota": quota}


# X-Amz-Target of a request: (IAM action, function that answers)
STATIC_ANSWERS: dict[str, tuple[str, Callable[[dict[str, Any]], Answer]]] = {
    "AWSPriceListService.GetProducts": ("pricing:GetProducts", get_products),
    "ServiceQuotasV20190624.GetServiceQuota": ("servicequotas:GetServiceQuota", get_service_quota),
}


def _product(instance_type: str) -> dict[str, Any]:
    price, vcpu, memory = PRICES[instance_type]
    sku = "LAB" + instance_type.replace(".", "").upper()
    attributes = COMMON_ATTRIBUTES | {
        "instanceType": instance_type,
        "instanceFamily": "General purpose",
        "vcpu": vcpu,
        "memory": memory,
        "operation": "RunInstances",
        "usagetype": f"BoxUsage:{instance_type}",
    }
    dimension = {
        "unit": "Hrs",
        "beginRange": "0",
        "endRange": "Inf",
        "description": f"${price[:-6]} per On Demand Linux {instance_type} Instance Hour",
        "pricePerUnit": {"USD": price},
    }
    offer = f"{sku}.JRTCKXETXF"  # AWS's term code for on demand
    return {
        "serviceCode": "AmazonEC2",
        "product": {
            "productFamily": "Compute Instance",
            "sku": sku,
            "attributes": attributes,
        },
        "terms": {"OnDemand": {offer: {"priceDimensions": {f"{offer}.6YS6EN2CT7": dimension}}}},
    }
