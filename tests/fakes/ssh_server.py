"""
An SSH server in a process of its own, which a test can stop, kill and start again like a machine.

It runs what it is sent on this machine, without sudo; `docker system dial-stdio` reaches the socket
that it was given. paramiko's server side speaks the protocol.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko

from tests.fakes.ports import keep_port

if TYPE_CHECKING:
    import fabric

DIAL = "docker system dial-stdio"


class SshHost:
    """
    One host: `stop` lets it hang, `go_on` ends that, `kill` and `start` are a reboot.
    """

    def __init__(self, folder: Path, engine: str = "") -> None:
        self.key = folder / "key.pem"
        if not self.key.exists():
            paramiko.ECDSAKey.generate().write_private_key_file(str(self.key))
        self.engine = engine
        self._kept, self.port = keep_port()
        self.start()

    def start(self) -> None:
        arguments = [str(self.port), str(self.key), self.engine]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.ssh_server", *arguments],
            start_new_session=True,  # what it runs dies with it
        )
        deadline = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            assert self.process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)

    def _signal(self, number: signal.Signals) -> None:
        os.killpg(self.process.pid, number)

    def stop(self) -> None:
        self._signal(signal.SIGSTOP)
        tasks = Path(f"/proc/{self.process.pid}/task")
        while any("(stopped)" not in (t / "status").read_text() for t in tasks.iterdir()):
            time.sleep(0.01)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._signal(signal.SIGKILL)
        self.process.wait(10)

    def connection(self, role: str) -> "fabric.Connection":
        import fabric  # noqa: PLC0415 - half of the start of a server, which has no use for it

        config = fabric.Config(
            overrides={"load_ssh_configs": False, "run": {"in_stream": False}, "role": role}
        )
        keys = {"key_filename": str(self.key), "allow_agent": False, "look_for_keys": False}
        return fabric.Connection(
            "127.0.0.1", "ubuntu", self.port, config=config, connect_timeout=5,
            connect_kwargs=keys | {"banner_timeout": 60, "auth_timeout": 60},
        )  # fmt: skip


class _Transport(paramiko.Transport):
    """
    Begin what a client asks for when it has been told so: the end may not come before.
    """

    begin: Callable[[], None] | None = None

    def _send_user_message(self, data: paramiko.Message) -> None:
        try:
            super()._send_user_message(data)
        finally:  # also where the client is gone by now
            if self.begin and threading.current_thread() is self:
                begin, self.begin = self.begin, None
                begin()


class _Server(paramiko.ServerInterface):
    def __init__(self, engine: str, transport: _Transport) -> None:
        self._engine, self._transport = engine, transport

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        text = command.decode().removeprefix("sudo ").removeprefix("-n ")
        work = self._dial if text == DIAL else self._execute
        self._transport.begin = threading.Thread(
            target=work, args=(channel, text), daemon=True
        ).start
        return True

    def _execute(self, channel: paramiko.Channel, command: str) -> None:
        done = subprocess.run(
            ["bash", "-c", command], capture_output=True, stdin=subprocess.DEVNULL, check=False
        )
        channel.sendall(done.stdout)
        channel.sendall_stderr(done.stderr)
        if done.returncode >= 0:  # sshd sends none for a command that a signal ended
            channel.send_exit_status(done.returncode)
        channel.close()

    def _dial(self, channel: paramiko.Channel, _command: str) -> None:
        with socket.socket(socket.AF_UNIX) as engine:
            engine.connect(self._engine)

            def back() -> None:
                while data := engine.recv(65536):
                    channel.sendall(data)
                channel.close()

            threading.Thread(target=back, daemon=True).start()
            while data := channel.recv(65536):
                engine.sendall(data)


def main(port: str, key: str, engine: str) -> None:
    host_key = paramiko.ECDSAKey.from_private_key_file(key)
    with socket.create_server(("127.0.0.1", int(port))) as listening:
        while True:
            client, _ = listening.accept()
            transport = _Transport(client)
            transport.add_server_key(host_key)
            with contextlib.suppress(paramiko.SSHException, EOFError):
                transport.start_server(threading.Event(), _Server(engine, transport))


if __name__ == "__main__":
    main(*sys.argv[1:])
