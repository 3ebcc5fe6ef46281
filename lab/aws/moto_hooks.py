"""
Every part of moto that the lab replaces.

The contract test (tests/lab/test_ec2_contract.py) is the gate for another version of moto.
"""

from __future__ import annotations

import moto.ec2.models
import moto.ec2.models.elastic_ip_addresses as moto_elastic_ips
import moto.ec2.models.elastic_network_interfaces as moto_interfaces
import moto.ec2.models.instances as moto_instances
from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.ec2.models import ec2_backends
from moto.iam.access_control import IAMRequestBase
from moto.s3.models import FakeBucket

from lab.aws.addresses import free_address
from lab.aws.authorization import authorize_s3, bucket_permission, check_action_permitted
from lab.aws.ec2 import LabBackend
from lab.aws.instances import LabInstance
from lab.core.config import LabConfig


def install(config: LabConfig) -> None:
    """
    Replace them. Set `LabBackend.hypervisor` before the backends are used.
    """
    moto_instances.Instance = LabInstance  # type: ignore[misc] # run_instances looks here
    ec2_backends.backend = LabBackend
    # pickle looks for both in moto's modules, which they name as their own
    moto_instances.LabInstance = LabInstance  # type: ignore[attr-defined] # new there
    moto.ec2.models.LabBackend = LabBackend  # type: ignore[attr-defined] # new there

    settings.ENABLE_AMI_VALIDATION = True
    settings.ENABLE_KEYPAIR_VALIDATION = True
    settings.EC2_ENABLE_INSTANCE_TYPE_VALIDATION = True

    def public_address() -> str:
        return free_address(config.public_pool, used_public_addresses())

    moto_interfaces.random_public_ip = public_address  # type: ignore[attr-defined] # imported there
    moto_elastic_ips.random_ip = public_address  # type: ignore[attr-defined] # imported there

    IAMRequestBase.check_action_permitted = check_action_permitted  # type: ignore[method-assign] # that is the hook
    ActionAuthenticatorMixin._authenticate_and_authorize_s3_action = authorize_s3  # type: ignore[method-assign] # that is the hook
    FakeBucket.get_permission = bucket_permission  # type: ignore[method-assign] # that is the hook
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0  # every request is authenticated


def find_instances() -> list[LabInstance]:
    """
    Every instance of the account, terminated ones too.
    """
    return [one for backend in _backends() for one in backend.all_instances()]  # type: ignore[misc] # all are LabInstances


def used_public_addresses() -> set[str | None]:
    return {address for backend in _backends() for address in backend.used_public_addresses()}


def _backends() -> list[LabBackend]:
    return [backend for _, _, backend in ec2_backends.iter_backends()]  # type: ignore[misc] # hooked in above
