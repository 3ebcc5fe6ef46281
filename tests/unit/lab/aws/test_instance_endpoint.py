"""
What instances may reach at the host's own address: S3, and no metadata.
"""

import pytest
from werkzeug.test import Client
from werkzeug.wrappers import Response

from lab.aws.endpoints import InstanceEndpoint
from lab.core.config import LabConfig

SERVED = Client(InstanceEndpoint(Response("S3")))


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_path_of_the_metadata_is_a_bucket_like_any_other(method):
    answer = SERVED.open("/latest/meta-data/iam/security-credentials/", method=method)
    assert answer.status_code == (200 if method == "GET" else 403)
    assert "S3" in answer.text


def test_the_metadata_has_a_port_of_its_own():
    assert [5567, 65534] == [LabConfig(port=port).metadata_port for port in (5566, 65535)]
