"""
Keep moto's state over a restart of the lab: EC2 and IAM, pickled as they are.

S3 is not kept, as its objects are large: `up` uploads the sample data again.
"""

from __future__ import annotations

import pickle
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import moto
from moto.core.base_backend import BackendDict
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import EC2Backend, ec2_backends
from moto.iam.models import iam_backends

from lab.core.errors import LabError
from lab.core.files import replace_file

FORMAT = 2  # increase it when the attributes of a pickled class of the lab change
KEPT: dict[str, BackendDict[Any]] = {"ec2": ec2_backends, "iam": iam_backends}


class StateFile:
    """
    The pickle of one lab. `records_lock` is the lock under which the backends change.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, records_lock: AbstractContextManager[object]) -> None:
        """
        Write everything, atomically.
        """
        with records_lock:
            kept = {name: dict(backends) for name, backends in KEPT.items()}
            data = pickle.dumps((FORMAT, moto.__version__, kept))
            replace_file(self._path, data, mode=0o600)  # it contains private keys

    def load(self) -> bool:
        """
        Restore what an earlier process wrote; False when there is no file.
        """
        if not self._path.exists():
            return False
        try:
            # Our own file, in a folder of the user's own.
            *versions, kept = pickle.loads(self._path.read_bytes())  # noqa: S301
        except Exception as exc:  # a broken pickle may raise anything
            raise LabError(
                f"expected the state of a lab in {self._path}, but it cannot be read",
                evidence=f"{type(exc).__name__}: {exc}",
                next_step=f"python -m lab down --name {self._path.parent.name}",
            ) from exc
        if versions != [FORMAT, moto.__version__]:
            raise LabError(
                f"expected a state of format {FORMAT} by moto {moto.__version__} in {self._path}",
                evidence=f"it has {versions}",
                next_step=f"python -m lab down --name {self._path.parent.name}",
            )
        for name, backends in KEPT.items():
            backends.update(kept[name])
            backends[DEFAULT_ACCOUNT_ID]  # a lookup registers the account with moto
        for account in ec2_backends.values():
            for backend in account.values():
                _keep_reserved(backend)
        return True


def _keep_reserved(backend: EC2Backend) -> None:
    """
    A subnet's iterator of addresses restarts at the gateway: mark the reserved ones as taken.
    """
    for subnet in backend.describe_subnets():
        for address in subnet.aws_reserved_ips:
            subnet._subnet_ips.setdefault(str(address), None)  # type: ignore[arg-type] # no instance has it
