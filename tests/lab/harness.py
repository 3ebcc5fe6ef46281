"""
A lab beside any other, and the runbook pointed at it: its name, port, subnet and cluster are not
the user's. For the tests and for the benchmarks.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import botocore.session
from playwright.sync_api import Page

from runbook_lib.cloud import aws, roles
from runbook_lib.geodiff.browser import fetch
from runbook_lib.hosts import clusters
from tests.places import ROOT

PROJECT = ROOT
PARAMS = "params/lab.yml"
LABS = Path.home() / ".cache/geo-diff-runbook/labs"  # before the hermetic fixtures move the home


class Lab:
    """
    The lab's command line for one lab; `network` is the first half of its /16.
    """

    def __init__(self, name: str, port: int, network: str) -> None:
        self.name = name
        self.place = ["--port", str(port), "--subnet", f"{network}.0.0/16"]

    def up(self) -> None:
        """
        With an operator who has no more rights than the policies in params/ give.
        """
        rights = ["--policy", "params/iam-policy.json"]
        rights += ["--policy", "params/iam-policy-tiles-on-s3.json"]
        rights += ["--account-policy", "runbook-tiles=params/iam-role-of-the-tiles.json"]
        tags = [f"runbook:cluster=runbook-{self.name}", "runbook:vpc=@default-vpc"]
        marks = [part for tag in tags for part in ("--operator-tag", tag)]
        self._call("up", *self.place, *rights, *marks)

    def down(self) -> None:
        self._call("down")

    def _call(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "lab", *arguments, "--name", self.name]
        result = subprocess.run(
            command, cwd=PROJECT, capture_output=True, text=True, timeout=600, check=False
        )
        output = result.stdout + result.stderr
        assert result.returncode == 0, output[-6000:]


class Runbook:
    """
    The command line of the runbook, pointed at a lab.

    `is_deployed` while the cluster is as the last whole run left it, 00 to 07.
    """

    def __init__(self, folder: Path, name: str, port: int, network: str) -> None:
        self.runs = folder / "runs"
        self.is_deployed = False
        endpoint = f"http://127.0.0.1:{port}"
        self.given = {
            "cluster": f"runbook-{name}",
            "endpoint_url": endpoint,
            "checkip_url": f"{endpoint}/checkip",
            "credentials_file": LABS / name / "credentials",
            "key_file": folder / "keys" / f"runbook-{name}.pem",
            "tiles_url": f"http://{network}.0.1:{port}/geo-diff-tiles",
        }

    def run(
        self, *arguments: str, code: int = 0, file: str = PARAMS, **given: object
    ) -> dict[str, dict]:
        """
        Run notebooks headless; the record of each by its number.
        """
        command = [sys.executable, "-m", "runbook_lib", "run", file, *arguments]
        command += [*self.values(**given), "--runs", str(self.runs)]
        result = subprocess.run(
            command, cwd=PROJECT, capture_output=True, text=True, timeout=1200, check=False
        )
        self.output = result.stdout + result.stderr
        assert result.returncode == code, self.output[-6000:]
        records = sorted(self.runs.glob("2*/run.json"))
        pages = json.loads(records[-1].read_text())["pages"] if records else []
        done = {page["name"][:2]: page for page in pages}
        if not arguments and not given:
            self.is_deployed = True
        elif file == PARAMS and "stack_name" not in given and any(n >= "20" for n in done):
            self.is_deployed = False  # a drill, a solution or an undo may have changed it
        return done

    def start(self, *arguments: str, **given: object) -> subprocess.Popen[str]:
        """
        A headless run that goes on while we look.
        """
        command = [sys.executable, "-m", "runbook_lib", "run", PARAMS, *arguments]
        command += [*self.values(**given), "--runs", str(self.runs)]
        return subprocess.Popen(
            command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def cluster(self) -> clusters.Cluster:
        """
        What 00 to 07 make, which run first where it is not there; nothing that later pages add.
        """
        if not self.is_deployed:
            self.run()
        name, key_file = str(self.given["cluster"]), str(self.given["key_file"])
        return clusters.get_cluster(name, key_file, self.place).without(*roles.LATER)

    @property
    def place(self) -> aws.Place:
        """
        Where the cluster of this runbook is.
        """
        endpoint, credentials = self.given["endpoint_url"], str(self.given["credentials_file"])
        return aws.Place("us-east-1", endpoint, credentials)

    def ec2(self) -> Any:
        """
        EC2 as the administrator of the lab.
        """
        session = botocore.session.Session(profile="administrator")
        session.set_config_variable("credentials_file", str(self.given["credentials_file"]))
        return session.create_client(
            "ec2", region_name="us-east-1", endpoint_url=self.given["endpoint_url"]
        )

    def values(self, **given: object) -> list[str]:
        """
        The options that point a command at this lab; `given` goes before what is usual, and None
        leaves a name to the file.
        """
        values = self.given | given
        pairs = [f"{name}={value}" for name, value in values.items() if value is not None]
        return [part for pair in pairs for part in ("-p", pair)]


def until(
    condition: Callable[[], object],
    what: str,
    page: Page,
    timeout_s: float = 60,
    saw: Callable[[], object] = lambda: "",
) -> None:
    """
    Let a page of the browser live until the condition holds; else tell what it saw.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}; {saw()}"
        page.wait_for_timeout(100)


def seen(look: Callable[[], Any], timeout_s: float = 240) -> Any:
    """
    Look until there is something to see.
    """
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"nothing seen within {timeout_s:g} s"
        time.sleep(0.2)
    return found


@contextmanager
def asked_all_the_time(url: str, headers: dict[str, str]) -> Iterator[list[str]]:
    """
    Ask for a page ten times a second until the block ends; the list grows by each answer.
    """
    answers: list[str] = []
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(0.1):
            answers.append(fetch(url, headers, timeout_s=5).kind)

    asking = threading.Thread(target=go_on)
    asking.start()
    try:
        yield answers
    finally:
        over.set()
        asking.join()


def open_and_paste(notes: list[dict[str, str]]) -> tuple[str, str]:
    """
    What a person gets who takes the address of the map, and pastes the command for a token.
    """
    page, command = (note["text"] for note in notes)
    pasted = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    return page, pasted.stdout.strip()
