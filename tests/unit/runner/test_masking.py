"""
Secrets are found in whatever a notebook saved, and masked there.
"""

import json

import pytest

from runbook_lib.runner.masking import Masker, credentials_in_use, known_secrets, map_texts

TOKEN = "SWMTKN-1-" + "3" * 50 + "-" + "a" * 25
KEY = "-----BEGIN OPENSSH " + "PRIVATE KEY-----\nb3BlbnNz\n-----END OPENSSH " + "PRIVATE KEY-----\n"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"docker swarm join --token {TOKEN} 172.31.0.5:2377", "a Swarm join token"),
        (f"key:\n{KEY}end", "a private key"),
        (KEY[:60], "a private key"),
        (f"secret={SECRET};", "the AWS secret access key"),
    ],
)
def test_a_secret_is_masked_and_named(text, kind):
    masked, kinds = Masker({"the AWS secret access key": SECRET}).mask(text)
    assert [kind] == kinds
    assert f"[{kind} was here]" in masked
    assert not any(part in masked for part in (TOKEN, "b3Blbn", SECRET))


def test_what_is_no_secret_stays():
    text = "ssh-ed25519 AAAAC3 a public key, SWMTKN is a prefix"
    assert (text, []) == Masker({}).mask(text)


def test_any_text_inside_a_json_value_is_reached():
    assert {"a": ["X", {"b": "Y"}], "n": 1} == map_texts(
        {"a": ["x", {"b": "y"}], "n": 1}, str.upper
    )


def test_a_saved_notebook_is_masked_and_the_place_told(tmp_path):
    path = tmp_path / "05.ipynb"
    output = {
        "output_type": "stream",
        "name": "stdout",
        "text": [f"join {TOKEN}\n", *KEY.splitlines(True)],
    }
    cells = [
        {
            "cell_type": "markdown",
            "id": "a",
            "metadata": {},
            "source": ["# 05 Swarm\n", "\n", "## Join"],
        },
        {
            "cell_type": "code",
            "id": "b",
            "metadata": {},
            "source": [],
            "execution_count": 1,
            "outputs": [output],
        },
    ]
    path.write_text(
        json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    found = Masker({}).mask_notebook(path)
    assert ["a private key, under “Join”", "a Swarm join token, under “Join”"] == found
    assert TOKEN not in path.read_text()
    assert [] == Masker({}).mask_notebook(path)


def test_the_credentials_in_use_are_read_from_their_file(tmp_path):
    file = tmp_path / "credentials"
    file.write_text(f"[default]\naws_access_key_id = AKIA0\naws_secret_access_key = {SECRET}\n")
    assert {"the AWS secret access key": SECRET} == credentials_in_use(str(file))


def test_no_credentials_are_no_secrets(tmp_path):
    assert {} == credentials_in_use(str(tmp_path / "nothing"))


def test_credentials_that_have_ended_open_nothing_and_stop_no_run(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2020-01-01T00:00:00+00:00")
    assert {} == credentials_in_use("")


def test_the_values_given_to_a_run_are_known_and_masked_in_any_form(tmp_path, monkeypatch):
    (tmp_path / "db").write_text("pass word/1\n")
    (tmp_path / "pin").write_text("1234")
    monkeypatch.setenv("RUNBOOK_SECRET_WEB", "correct-horse")
    known = known_secrets({"values_dir": str(tmp_path)})
    assert {"the secret db": "pass word/1", "the secret WEB": "correct-horse"} == known
    masked, kinds = Masker(known).mask("pass word/1, pass%20word%2F1, correct-horse, 1234")
    assert (
        "[the secret db was here], [the secret db was here], [the secret WEB was here], 1234"
        == (masked)
    )
    assert set(known) == set(kinds)


def test_the_pixels_of_a_picture_are_no_text():
    data = {"image/png": "x", "image/svg+xml": "x", "text/html": "x"}
    assert {"image/png": "x", "image/svg+xml": "X", "text/html": "X"} == map_texts(data, str.upper)
