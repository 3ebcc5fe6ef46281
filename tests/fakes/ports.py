"""
Ports for servers in processes of their own.
"""

import socket


def keep_port() -> tuple[socket.socket, int]:
    """
    A port of 127.0.0.1 for one server that starts later, and the socket that keeps it for it.

    The socket is bound and silent: the system gives its port to nobody else, and a server that
    names the port may listen there all the same.
    """
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    return kept, kept.getsockname()[1]
