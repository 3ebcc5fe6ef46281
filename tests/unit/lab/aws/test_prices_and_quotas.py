"""
The lab's price list and its one quota.
"""

from lab.aws.prices_and_quotas import get_products, get_service_quota


def test_prices_match_all_filters_or_none():
    """Another region, or an unknown type, has no products here."""

    def count(**filters):
        asked = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in filters.items()]
        status, answer = get_products({"ServiceCode": "AmazonEC2", "Filters": asked})
        assert status == 200
        return len(answer["PriceList"])

    assert count(instanceType="t2.micro", regionCode="us-east-1") == 1
    assert count(instanceType="t2.micro", regionCode="eu-west-1") == 0
    assert count(instanceType="m5.large") == 0
    assert count() == 10


def test_an_unknown_quota_is_no_such_resource():
    """The lab knows the one that limits vCPUs."""
    status, answer = get_service_quota({"ServiceCode": "ec2", "QuotaCode": "L-0"})
    assert (status, answer["__type"]) == (400, "NoSuchResourceException")
