"""
SSH to instances, whose host keys are pinned: connections, and the commands that run on them.
"""

import contextlib
import shlex
import time

import fabric
import paramiko
from invoke.exceptions import UnexpectedExit

from runbook_lib.cloud.instances import Instance
from runbook_lib.cloud.key_files import key_path, known_hosts_path
from runbook_lib.core.errors import AccessError, CommandError, ConflictError
from runbook_lib.core.parallel import for_each
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.hosts.host_keys import get_pinned_keys
from runbook_lib.hosts.liveness import is_going_down, lost, name_of, open_watched

USER = "ubuntu"
_NO_CODE = -1
"""paramiko's code of a command that ended without one: by a signal, or with the connection."""


def connect(instance: Instance, key_file: str, timeout_s: float = 60) -> fabric.Connection:
    """
    Open one connection; refuse any host key except the pinned one.

    fabric itself accepts any host key (`AutoAddPolicy`); the policy is replaced here.
    """
    config = fabric.Config(
        overrides={
            "load_ssh_configs": False,
            "run": {"in_stream": False},
            "role": instance.role,  # an error names the host
        }
    )
    connection = fabric.Connection(
        instance.public_ip,
        user=USER,
        config=config,
        connect_timeout=5,
        connect_kwargs={
            "key_filename": str(key_path(key_file)),
            "allow_agent": False,
            "look_for_keys": False,
            "banner_timeout": 15,
            "auth_timeout": 15,
        },
    )
    _open(connection, instance, key_file, timeout_s)
    return connection


def reopen(
    connection: fabric.Connection, instance: Instance, key_file: str, timeout_s: float = 60
) -> None:
    """
    Reopen a connection after the instance was stopped; its address may have changed.

    Docker clients that use the connection stay valid.
    """
    connection.close()
    connection.host = instance.public_ip
    _open(connection, instance, key_file, timeout_s)


def _open(
    connection: fabric.Connection, instance: Instance, key_file: str, timeout_s: float
) -> None:
    get_pinned_keys(instance, key_file)
    name = name_of(connection)
    pinned = paramiko.HostKeys(str(known_hosts_path(key_file)))
    for kind, key in (pinned.lookup(instance.instance_id) or {}).items():
        connection.client.get_host_keys().add(instance.public_ip, kind, key)
    connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())

    def probe() -> bool | Pending:
        try:
            open_watched(connection)
        except paramiko.BadHostKeyException as error:
            raise ConflictError(
                f"expected the pinned host key of {name}; another key answered",
                evidence=str(error),
                next_step="find out who answers there; if you replaced the machine yourself, "
                f"remove its lines from {known_hosts_path(key_file)} and run 01_instances",
            ) from error
        except paramiko.AuthenticationException as error:
            if "timeout" in str(error).lower():  # the host took the connection, and then hung
                return Pending(f"{instance.public_ip}: {error}")
            raise AccessError(
                f"expected {name} to accept {USER} with the key {key_path(key_file)}",
                evidence=str(error),
                next_step="set key_file to the key that the instances were launched with",
            ) from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            return Pending(f"{instance.public_ip}: {error or type(error).__name__}")
        return True

    wait_for(
        f"SSH to {instance.role}",
        probe,
        timeout_s=timeout_s,
        next_step="run 02_security_groups: it opens port 22 to your address",
    )


def connect_all(
    instances: list[Instance], key_file: str, timeout_s: float = 60
) -> dict[str, fabric.Connection]:
    """
    Open a connection to every instance in parallel, by role.
    """
    by_role = {i.role: i for i in instances}
    return for_each("SSH connections", by_role, lambda i: connect(i, key_file, timeout_s))


def shell_command(instance: Instance, key_file: str, script: str) -> str:
    """
    Return a shell command for a person that runs a script on an instance, with the pinned key.
    """
    options = f"-o HostKeyAlias={instance.instance_id} -o UserKnownHostsFile="
    return (
        f"ssh -i {shlex.quote(str(key_path(key_file)))} "
        f"{options}{shlex.quote(str(known_hosts_path(key_file)))} "
        f"{USER}@{instance.public_ip} {shlex.quote(script)}"
    )


def run(connection: fabric.Connection, script: str, *, sudo: bool = False) -> str:
    """
    Run a bash script that stops at its first error, and return its output.

    Raises CommandError with the exit code and the last lines of its output, or with what became of
    the host if it was lost meanwhile.
    """
    command = f"bash -euo pipefail -c {shlex.quote(script)}"
    began = time.monotonic()
    try:
        open_watched(connection)
        result = connection.run(f"sudo {command}" if sudo else command, hide=True)
    except UnexpectedExit as error:
        output = error.result.stdout + error.result.stderr
        raise _failed(connection, script, error.result.exited, output, began) from error
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise lost(connection, _first_line(script), began, error) from error
    return str(result.stdout)


def run_with_input(
    connection: fabric.Connection, script: str, data: bytes, *, sudo: bool = False
) -> str:
    """
    Run a bash script with `data` as its standard input, of any size; return all its output.

    An argument holds at most 128 kB and is in the list of processes; fabric's `in_stream` sends one
    character at a time.

    Raises CommandError as `run` does.
    """
    command = f"bash -euo pipefail -c {shlex.quote(script)}"
    began = time.monotonic()
    try:
        open_watched(connection)
        with contextlib.closing(connection.create_session()) as channel:
            channel.set_combine_stderr(True)
            channel.exec_command(f"sudo -n {command}" if sudo else command)
            with contextlib.suppress(OSError):  # it ended before it read all: its exit code says
                channel.sendall(data)
                channel.shutdown_write()
            output = str(channel.makefile("rb").read(), errors="replace")
            code = channel.recv_exit_status()
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise lost(connection, _first_line(script), began, error) from error
    if code:
        raise _failed(connection, script, code, output, began)
    return output


def _failed(
    connection: fabric.Connection, script: str, code: int, output: str, began: float
) -> CommandError:
    if is_going_down(connection):
        return lost(connection, _first_line(script), began)
    seen = "none: a signal ended it, perhaps for lack of memory" if code == _NO_CODE else str(code)
    return CommandError(
        f"expected exit code 0 from a command on {name_of(connection)}, saw {seen}",
        evidence="\n".join([_first_line(script), *output.strip().splitlines()[-8:]]),
    )


def _first_line(script: str) -> str:
    return script.strip().splitlines()[0]


def run_all(
    what: str, connections: dict[str, fabric.Connection], script: str, *, sudo: bool = False
) -> dict[str, str]:
    """
    Run the same script on every host in parallel; the error lists every failure.
    """
    return for_each(what, connections, lambda c: run(c, script, sudo=sudo))
