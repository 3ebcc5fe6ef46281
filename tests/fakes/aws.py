"""
An AWS account in memory (moto's), new each time.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto import mock_aws

from runbook_lib.cloud.consistency import KNOWN


@contextmanager
def account() -> Iterator[Callable[[str], Any]]:
    """
    A function that gives a client of a service.
    """
    for region in KNOWN.values():
        region.forget_all()  # of the account before
    with mock_aws():
        yield _session().client


@functools.cache
def _session() -> boto3.Session:
    """
    One for all accounts: it reads the description of EC2's API once, which takes half a second.
    """
    return boto3.Session("testing", "testing", region_name="us-east-1")
