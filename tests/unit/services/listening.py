"""
A service of the Python image as its container starts it, listening on a free port of this machine.
"""

import os
import socket
import subprocess
import sys
import time

from tests.places import IMAGES

SOURCES = IMAGES / "geo-diff"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Listening:
    """
    `python -m geodiff SERVICE` in a folder for its log, with these variables.
    """

    def __init__(self, service, folder, environ):
        self.port = free_port()
        self.log = folder / f"{service}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "geodiff", service],
                cwd=SOURCES,
                env=os.environ | environ | {"PORT": str(self.port)},
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 30
        while "listening" not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def raw(self, data):
        """
        Send bytes, say that this is all, and return everything that comes back.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            received = b""
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                while part := connection.recv(65536):
                    received += part
            except ConnectionError:  # it answered and closed before it had read all
                pass
            return received

    def stop(self):
        self.process.terminate()
        return self.process.wait(25)
