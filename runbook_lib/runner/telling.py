"""
The end of a run told to a URL or to a program, as JSON: in bounded time, without a shell.

What it says is masked as the saved notebooks are. A failure to tell changes no verdict.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from runbook_lib.core.errors import ParameterError

LIMIT_S = 20.0
"""Time for the whole of it."""

_OURS = ("AWS_", "RUNBOOK_SECRET_", "RUNBOOK_TELL")


def refuse_untellable(what: str) -> None:
    """
    Raise ParameterError if `what` is neither a URL nor a program of this machine.
    """
    problem = ""
    try:
        if is_url(what):
            problem = "" if urlsplit(what).hostname else "the URL has no host"
        elif what and not shutil.which((shlex.split(what) or [""])[0]):
            problem = "there is no such program"
    except ValueError as error:
        problem = str(error)
    if problem:
        raise ParameterError(
            "expected --tell with a URL, or a program and its arguments",
            evidence=problem,
            next_step="for example  --tell https://example.org/hook  or  --tell 'logger -t run'",
        )


def tell(what: str, message: Mapping[str, Any]) -> str:
    """
    Tell a URL by POST, or a program by its standard input; return "", or why nobody was told.
    """
    reasons = ["no answer within the time"]
    text = json.dumps(message)
    act = _post if is_url(what) else _start

    def attempt() -> None:
        reasons[0] = act(what, text)

    # a thread: a server that answers a byte a second keeps within every limit of requests
    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(LIMIT_S)
    return reasons[0]


def is_url(what: str) -> bool:
    """
    Check whether a URL is to be told, and not a program.
    """
    return what.startswith(("https://", "http://"))


def _post(url: str, text: str) -> str:
    import requests  # noqa: PLC0415 - takes its time, and few runs need it

    headers = {"Content-Type": "application/json"}
    data = text.encode()
    try:
        with requests.post(
            url, data=data, headers=headers, timeout=LIMIT_S / 2, allow_redirects=False, stream=True
        ) as answer:
            status = answer.status_code
    except requests.RequestException as error:  # its text has the address, which may be a secret
        return type(error).__name__
    return "" if status < 300 else f"it answered {status}"


def _start(program: str, text: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(_OURS)}
    try:
        with subprocess.Popen(
            shlex.split(program),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        ) as process:
            try:
                process.communicate(text.encode(), timeout=LIMIT_S / 2)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                return f"it had not ended after {LIMIT_S / 2:g} s"
    except OSError as error:
        return error.strerror or str(error)
    return "" if process.returncode == 0 else f"it ended with {process.returncode}"
