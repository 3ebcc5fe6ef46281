"""
The tree of instance metadata.
"""

import pytest

from lab.aws.imds import find_metadata

VALUES = {
    "user-data": "#!/bin/sh",
    "meta-data/instance-id": "i-1",
    "meta-data/placement/region": "us-east-1",
    "meta-data/placement/availability-zone": "us-east-1a",
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("meta-data/instance-id", "i-1"),
        ("meta-data/instance-id/", "i-1"),
        ("meta-data/", "instance-id\nplacement/"),
        ("meta-data/placement", "availability-zone\nregion"),
        ("", "meta-data/\nuser-data"),
        ("meta-data/inst", None),
        ("dynamic/", None),
    ],
)
def test_a_path_is_a_value_or_a_folder_or_nothing(path, expected):
    """Folders end in a slash in their parent's listing, as on AWS."""
    assert expected == find_metadata(VALUES, path)
