"""
Keep what moto holds over a restart of the lab: EC2 and IAM, pickled as they are.

S3 is not kept, as its objects are large: whoever started the lab puts them there again.
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

FORMAT = 2  # count it up when a pickled class of the lab gets another attribute
KEPT: dict[str, BackendDict[Any]] = {"ec2": ec2_backends, "iam": iam_backends}


class StateFile:
    """
    The pickle of one lab. `world` is the lock under which the backends change.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, world: AbstractContextManager[object]) -> None:
        """
        Write all, atomically.
        """
        with world:
            kept = {name: dict(backends) for name, backends in KEPT.items()}
            data = pickle.dumps((FORMAT, moto.__version__, kept))
            temporary = self._path.with_suffix(".new")
            temporary.unlink(missing_ok=True)
            temporary.touch(mode=0o600)  # private keys are in it
            temporary.write_bytes(data)
            temporary.replace(self._path)

    def load(self) -> bool:
        """
        Restore what an earlier process wrote; False when there is nothing.
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
                evidence=f"it is of {versions}",
                next_step=f"python -m lab down --name {self._path.parent.name}",
            )
        for name, backends in KEPT.items():
            backends.update(kept[name])
            backends[DEFAULT_ACCOUNT_ID]  # looked up once, as moto then knows of the account
        for account in ec2_backends.values():
            for backend in account.values():
                _keep_reserved(backend)
        return True


def _keep_reserved(backend: EC2Backend) -> None:
    """
    A subnet's iterator of addresses starts anew, at the gateway: mark the reserved ones taken.
    """
    for subnet in backend.describe_subnets():
        for address in subnet.aws_reserved_ips:
            subnet._subnet_ips.setdefault(str(address), None)  # type: ignore[arg-type] # nobody's
