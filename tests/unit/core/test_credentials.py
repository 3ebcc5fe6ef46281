"""
How long credentials last, by the ways in which a person has them.
"""

import json
import sys
from datetime import UTC, datetime, timedelta

import pytest

from runbook_lib.core.credentials import lifetime
from runbook_lib.core.errors import AccessError
from runbook_lib.runner.headless import Request, run_notebooks
from tests.places import ROOT


def temporary(monkeypatch, left):
    """Keys in the environment, as `aws configure export-credentials` writes them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIATESTING")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "testing")
    if left is not None:
        ends = datetime.now(UTC) + left
        monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", ends.isoformat())


def test_the_minutes_that_are_left_are_said(monkeypatch):
    temporary(monkeypatch, timedelta(minutes=43))

    assert "(env) end in 43 min, at " in repr(lifetime(""))
    assert 42 < lifetime("").minutes_left <= 43


def test_credentials_that_have_ended_are_told_with_the_command_for_new_ones(monkeypatch):
    temporary(monkeypatch, timedelta(minutes=-1))
    with pytest.raises(AccessError, match="they have ended") as caught:
        lifetime("")
    assert "next: export new AWS_ACCESS_KEY_ID" in str(caught.value)


def test_temporary_keys_whose_end_nobody_tells_are_called_that(monkeypatch):
    temporary(monkeypatch, None)

    assert "nothing says when they end" in repr(lifetime(""))


def test_keys_of_a_file_have_no_end(tmp_path):
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = AKIA\naws_secret_access_key = x\n")

    assert "have no end" in repr(lifetime(str(file)))
    assert lifetime(str(tmp_path / "none")) is None


def test_keys_that_a_program_gives_are_renewed(monkeypatch, tmp_path):
    keys = {"Version": 1, "AccessKeyId": "ASIA", "SecretAccessKey": "x", "SessionToken": "t"}
    keys["Expiration"] = (datetime.now(UTC) + timedelta(minutes=30)).isoformat()
    program = tmp_path / "keys.py"
    program.write_text(f"print({json.dumps(keys)!r})")
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = {sys.executable} {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))

    assert "are renewed" in repr(lifetime(""))
    assert float("inf") == lifetime("").minutes_left


@pytest.mark.parametrize(("left", "said"), [(43, "end in 43 min"), (-1, "they have ended")])
def test_a_run_says_so_before_it_begins(monkeypatch, tmp_path, capsys, left, said):
    """And does not begin with credentials that have ended: nothing is written yet."""
    temporary(monkeypatch, timedelta(minutes=left))
    blocked = tmp_path / "runs"
    blocked.write_text("a file where the folder of the runs would be")
    request = Request(
        ROOT / "params/aws.yml",
        only=["01"],
        given=["credentials_file=", "tiles_url=https://tiles.invalid/x"],
        notebooks=ROOT / "notebooks",
        runs=blocked,
    )
    with pytest.raises((AccessError, OSError)) as caught:
        run_notebooks(request)
    assert said in capsys.readouterr().out + str(caught.value)
