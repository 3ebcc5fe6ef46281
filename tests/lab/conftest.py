"""
A lab of the tests' own beside any other: its name, port, subnet and cluster are not the user's.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
NAME, PORT, NETWORK = "test", 5577, "172.29"
HOME = Path.home()  # before the hermetic fixtures move it


class Runbook:
    """
    The command line of the runbook, pointed at the lab of the tests.
    """

    def __init__(self, folder: Path) -> None:
        self.runs = folder / "runs"
        endpoint = f"http://127.0.0.1:{PORT}"
        credentials = HOME / f".cache/geo-diff-runbook/labs/{NAME}/credentials"
        self.given = {
            "cluster": "runbook-test",
            "endpoint_url": endpoint,
            "checkip_url": f"{endpoint}/checkip",
            "credentials_file": credentials,
            "key_file": folder / "keys" / "runbook-test.pem",
            "tiles_url": f"http://{NETWORK}.0.1:{PORT}/geo-diff-tiles",
        }

    def run(self, *arguments: str, code: int = 0, **given: object) -> dict[str, dict]:
        """
        Run notebooks headless; the record of each by its number.
        """
        values = [f"{name}={value}" for name, value in (self.given | given).items()]
        command = [sys.executable, "-m", "runbook_lib", "run", "params/lab.yml", *arguments]
        command += [part for value in values for part in ("-p", value)]
        command += ["--runs", str(self.runs)]
        result = subprocess.run(
            command, cwd=PROJECT, capture_output=True, text=True, timeout=1200, check=False
        )
        self.output = result.stdout + result.stderr
        assert result.returncode == code, self.output[-6000:]
        records = sorted(self.runs.glob("2*/run.json"))
        pages = json.loads(records[-1].read_text())["pages"] if records else []
        return {page["name"][:2]: page for page in pages}


def lab(*arguments: str, code: int = 0) -> str:
    """
    Call the lab's command line; returns what it printed.
    """
    command = [sys.executable, "-m", "lab", *arguments, "--name", NAME]
    result = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, timeout=600, check=False
    )
    output = result.stdout + result.stderr
    assert result.returncode == code, output[-6000:]
    return output


@pytest.fixture(scope="session")
def runbook(tmp_path_factory: pytest.TempPathFactory) -> Runbook:
    """
    The runbook on a fresh lab whose operator has no more rights than params/iam-policy.json.
    """
    lab("down")
    network = ["--port", str(PORT), "--subnet", f"{NETWORK}.0.0/16"]
    lab("up", *network, "--policy", "params/iam-policy.json")
    yield Runbook(tmp_path_factory.mktemp("runbook"))
    lab("down")
