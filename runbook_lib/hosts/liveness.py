"""
A host that hangs, and a host that went away: noticed within a limit, and told by its name.

Neither SSH nor TCP notices a host whose programs stand still: its kernel goes on acknowledging.
paramiko sends keepalives without asking for an answer, so they are sent here, as OpenSSH's
ServerAliveInterval does.
"""

import logging
import threading
import time
import weakref

import fabric
import paramiko

from runbook_lib.core.errors import CommandError

_ASK_S, _SILENT_S = 10.0, 60.0
"""How often a host is asked, and how long it may stay silent; one that swaps is slow, not dead."""
_BACK_S = 60.0
"""Time for a host that was lost to come back, before the error; EC2 reboots in less."""

# seconds since the first process started: a container's, too, whose kernel is the host's
_UP = "awk 'NR == FNR {up = $1; next} {print up - $22 / 100}' /proc/uptime /proc/1/stat"
_STATE = "systemctl is-system-running 2>/dev/null || true"
_HUNG: "weakref.WeakKeyDictionary[paramiko.Transport, str]" = weakref.WeakKeyDictionary()
"""Why the connections are closed that were closed here."""

# the errors have what it would print as a traceback
logging.getLogger("paramiko").addHandler(logging.NullHandler())


def name_of(connection: fabric.Connection) -> str:
    """
    Return a host's role and address.
    """
    role = connection.config.get("role", "")
    return f"{role} ({connection.host})" if role else str(connection.host)


def open_watched(connection: fabric.Connection) -> None:
    """
    Open a connection that is closed, and close it again when its host no longer answers.

    Whatever waits on it, a command or a request to Docker, then ends with an error.
    """
    if connection.is_connected:
        return
    connection.open()
    threading.Thread(
        target=_watch, args=(connection.transport, name_of(connection)), daemon=True
    ).start()


def _watch(transport: paramiko.Transport, name: str) -> None:
    def hang_up() -> None:
        _HUNG[transport] = f"{name} hangs: it has not answered SSH for {_SILENT_S:g} s"
        transport.close()

    while transport.is_active():
        time.sleep(_ASK_S)
        limit = threading.Timer(_SILENT_S, hang_up)
        limit.daemon = True
        limit.start()
        try:  # the answer is "unknown request", which is an answer
            transport.global_request("keepalive@openssh.com", wait=True)
        except (paramiko.SSHException, OSError, EOFError):
            return  # closed in between
        finally:
            limit.cancel()


def why_lost(connection: fabric.Connection) -> str:
    """
    Return why a connection is closed; "" while it is open.
    """
    transport = connection.transport
    if transport is None or transport.is_active():
        return ""
    return _HUNG.get(transport, "the host closed the connection")


def is_going_down(connection: fabric.Connection) -> bool:
    """
    Check, after a command has failed, whether its host is lost or shutting down: that ends
    commands with codes of their own.
    """
    deadline = time.monotonic() + _BACK_S
    while not why_lost(connection):
        try:
            state = connection.run(_STATE, hide=True, timeout=_SILENT_S).stdout.strip()
        except Exception:  # invoke, paramiko and socket have their own
            return True
        if state != "stopping" or time.monotonic() >= deadline:
            return False
        time.sleep(0.5)
    return True


def lost(
    connection: fabric.Connection, doing: str, since: float, cause: Exception | None = None
) -> CommandError:
    """
    Return the error for a connection that was lost; wait for the host, and ask since when it runs.

    Parameters
    ----------
    doing
        What was under way, for example a command's first line.
    since
        When it began, by `time.monotonic`.
    cause
        What was raised, if it could not even begin.
    """
    name, reason = name_of(connection), why_lost(connection) or str(cause or "")
    if (up_s := _uptime(connection)) is None:
        return CommandError(
            f"expected {name} to answer until this was done; it no longer does",
            evidence=f"{doing}\n{reason}",
            next_step=f"reboot {name}, then run this notebook again: it continues where it stopped",
        )
    rebooted = up_s < time.monotonic() - since
    what = f"{name} was rebooted" if rebooted else f"the connection to {name} was lost"
    return CommandError(
        f"{what} while a command ran; the command did not fail by itself",
        evidence=f"{doing}\n{reason}; the host answers again, and is up for {up_s:.0f} s",
        next_step="run this notebook again: it continues where it stopped",
    )


def _uptime(connection: fabric.Connection) -> float | None:
    deadline = time.monotonic() + _BACK_S
    while True:
        try:
            open_watched(connection)
            return float(connection.run(_UP, hide=True, timeout=10).stdout)
        except Exception:  # invoke, paramiko and socket have their own
            connection.close()
        if time.monotonic() >= deadline:
            return None
        time.sleep(1)
