"""
The public SSM parameters that name Ubuntu's images.
"""

from __future__ import annotations

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ssm.models import ssm_backends

from lab.aws.amis import PUBLIC_PARAMETERS

DRAFT = "/lab/draft"


def publish_parameters(region: str) -> None:
    """
    Create each parameter under a draft name, then rename it: moto reserves /aws.
    """
    backend = ssm_backends[DEFAULT_ACCOUNT_ID][region]
    for name, image_id in PUBLIC_PARAMETERS.items():
        backend.put_parameter(
            name=DRAFT,
            description="",
            value=image_id,
            parameter_type="String",
            allowed_pattern="",
            keyid="",
            overwrite=False,
            tags=[],
            data_type="text",
            tier=None,
            policies=None,
        )
        versions = backend._parameters.pop(DRAFT)
        for version in versions:
            version.name = name
        backend._parameters[name] = versions
