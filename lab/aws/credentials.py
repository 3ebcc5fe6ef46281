"""
The administrator's keys, for the lab itself: the operator's policy may allow too little.
"""

from __future__ import annotations

from configparser import ConfigParser
from typing import TypedDict

from lab.core.config import LabConfig


class Keys(TypedDict):
    """
    Keyword arguments of boto3.client.
    """

    aws_access_key_id: str
    aws_secret_access_key: str


def administrator(config: LabConfig) -> Keys:
    parser = ConfigParser()
    parser.read(config.credentials_file, encoding="utf-8")
    section = parser["administrator"]
    return Keys(
        aws_access_key_id=section["aws_access_key_id"],
        aws_secret_access_key=section["aws_secret_access_key"],
    )
