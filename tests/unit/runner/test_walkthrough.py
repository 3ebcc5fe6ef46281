"""
The walkthrough opens at the first notebook, with defaults that a person's own settings override.
"""

import json

from runbook_lib.runner.walkthrough import command, environment


def test_it_opens_at_the_first_notebook_whatever_it_is_called(tmp_path):
    for name in ("01_two.ipynb", "00_one.ipynb"):
        (tmp_path / name).touch()

    opened = next(w for w in command(tmp_path, []) if w.startswith("--LabApp.default_url="))
    assert f"/lab/workspaces/{tmp_path.name}/tree/00_one.ipynb" == opened.partition("=")[2]


def test_what_is_asked_of_jupyterlab_comes_after_our_own_words(tmp_path):
    (tmp_path / "00_one.ipynb").touch()

    assert ["--no-browser", str(tmp_path)] == command(tmp_path, ["--no-browser"])[-2:]


def test_our_defaults_stand_behind_the_configuration_that_is_there(tmp_path):
    found = environment(tmp_path, {"JUPYTER_CONFIG_PATH": "/etc/mine", "LANG": "C"})
    mine, ours = found["JUPYTER_CONFIG_PATH"].split(":")

    assert ("/etc/mine", "C") == (mine, found["LANG"])
    overrides = tmp_path / ".jupyter" / "labconfig" / "default_setting_overrides.json"
    assert str(overrides.parents[1]) == ours
    assert (
        "false"
        == json.loads(overrides.read_text())["@jupyterlab/apputils-extension:notification"][
            "fetchNews"
        ]
    )
