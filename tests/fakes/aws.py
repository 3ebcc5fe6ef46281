"""
An AWS account in memory (moto's), new each time.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto import mock_aws

from runbook_lib.cloud.consistency import KNOWN
from runbook_lib.core.credentials import aws_session

SESSION = boto3.Session(
    "testing", "testing", region_name="us-east-1", botocore_session=aws_session("")
)
"""
One for all tests: with the library's, it reads the description of EC2's API once.
"""


@contextmanager
def account() -> Iterator[Callable[[str], Any]]:
    """
    A function that gives a client of a service.
    """
    for region in KNOWN.values():
        region.forget_all()  # of the account before
    with mock_aws():
        yield SESSION.client
