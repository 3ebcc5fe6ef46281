"""
The process of `lab_endpoint`: the lab's server, whose instances are records without machines.
"""

import json
import sys
import threading
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from lab.aws import moto_hooks
from lab.aws.ec2 import LabBackend
from lab.aws.endpoints import OperatorEndpoint
from lab.aws.role_keys import RoleKeys
from lab.aws.server import QuietHandler
from lab.aws.ssm import publish_parameters
from lab.aws.users import ensure_users
from lab.core.config import LabConfig
from lab.machines.containers import Condition
from lab.machines.hypervisor import Hypervisor

HOST_KEYS = b"""
-----BEGIN SSH HOST KEY KEYS-----
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0fT1bGk0J0E1vS6r9yC0Q6nXTRVHq2TjSy0nMeqKz7 root@instance
-----END SSH HOST KEY KEYS-----
"""


class Paper:
    """
    Machines that are there as soon as they are ordered.
    """

    def __init__(self) -> None:
        self.ids: set[str] = set()

    def create(self, hardware: Any, files: bytes) -> None:
        self.ids.add(hardware.instance_id)

    def remove(self, instance_id: str) -> None:
        self.ids.discard(instance_id)

    def condition(self, instance_id: str) -> Any:
        return Condition(instance_id in self.ids, instance_id in self.ids)

    def console(self, instance_id: str) -> bytes:
        return HOST_KEYS

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def main(name: str) -> None:
    """
    Serve a lab until the test that started this process has ended.
    """
    config = LabConfig.load(name)
    moto_hooks.install(config)
    hypervisor = Hypervisor(config, Paper(), moto_hooks.find_instances, save=lambda: None)  # type: ignore[arg-type] # it has what is called
    LabBackend.hypervisor = hypervisor
    publish_parameters(config.region)
    ensure_users(config)
    endpoint = OperatorEndpoint(
        hypervisor, DomainDispatcherApplication(create_backend_app), hypervisor.save
    )
    keys = RoleKeys()

    def app(environ: Any, start_response: Any) -> Any:
        path = Request(environ).path
        if not path.startswith("/role-keys/"):
            return endpoint(environ, start_response)
        (instance,) = [i for i in moto_hooks.find_instances() if i.id == path.rpartition("/")[2]]
        (found,) = [v for k, v in keys.metadata_of(instance).items() if "credentials" in k]
        return Response(found)(environ, start_response)

    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=QuietHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    credentials = str(config.credentials_file)
    url = f"http://127.0.0.1:{server.server_port}"
    print(json.dumps({"url": url, "credentials_file": credentials}), flush=True)
    sys.stdin.read()  # ends with the test's process


if __name__ == "__main__":
    main(sys.argv[1])
