"""
Connections to this machine: the same commands, without SSH and without sudo.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Sequence
from typing import ClassVar

import invoke


class LocalConnection:
    """
    A fabric Connection, or the part of it that runs commands and opens sessions.
    """

    host = "here"
    config: ClassVar[dict] = {}
    is_connected, transport = True, None

    def __init__(self, shell: Sequence[str] = ("sh", "-c")) -> None:
        self.shell = shell
        self.sessions: list[LocalSession] = []

    def run(self, command: str, hide: bool, timeout: float | None = None) -> invoke.Result:
        return invoke.Context().run(command.removeprefix("sudo "), hide=hide, in_stream=False)

    def create_session(self) -> "LocalSession":
        self.sessions.append(LocalSession(self.shell))
        return self.sessions[-1]


class LocalSession:
    """
    The part of a paramiko Channel that is used.
    """

    def __init__(self, shell: Sequence[str]) -> None:
        self.shell = shell
        self.closed = False
        self.errors = subprocess.PIPE

    def set_combine_stderr(self, _combined: bool) -> None:
        self.errors = subprocess.STDOUT

    def settimeout(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s

    def exec_command(self, command: str) -> None:
        command = command.removeprefix("sudo -n ")
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [*self.shell, command], stdin=pipe, stdout=pipe, stderr=self.errors
        )

    def sendall(self, data: bytes) -> None:
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def shutdown_write(self) -> None:
        self.process.stdin.close()

    def read(self) -> bytes:
        return self.process.stdout.read()

    def recv_exit_status(self) -> int:
        return self.process.wait(60)

    def makefile(self, _mode: str) -> "LocalSession":
        return self

    def readline(self, size: int = -1) -> str:
        line = self.process.stdout.readline(size).decode()
        self.closed = not line
        return line

    def makefile_stderr(self, _mode: str) -> object:
        # bytes, as paramiko's file reads them in every mode
        return os.fdopen(os.dup(self.process.stderr.fileno()), "rb")

    def close(self) -> None:
        began = time.monotonic()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(60)
        self.ended_after_s = time.monotonic() - began
        self.process.stdout.close()
        if self.process.stderr:
            self.process.stderr.close()
