"""
JupyterLab on prepared copies of the notebooks, opened at the first one.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_SETTINGS = {
    # no Jupyter news over the first page
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    # keep the progress of a cell in view
    "@jupyterlab/notebook-extension:tracker": {"scrollPastEnd": True, "windowingMode": "none"},
}
"""Defaults of this walkthrough; a person's own JupyterLab settings override them."""


def command(folder: Path, arguments: Sequence[str]) -> list[str]:
    """
    Return the command that opens JupyterLab on the folder; `arguments` override ours.

    It uses a new workspace: otherwise tabs of an earlier walkthrough open too.
    """
    first = min(path.name for path in folder.glob("*.ipynb"))
    as_root = ["--allow-root"] if os.geteuid() == 0 else []
    opened = f"--LabApp.default_url=/lab/workspaces/{folder.name}/tree/{first}"
    return [sys.executable, "-m", "jupyterlab", *as_root, opened, *arguments, str(folder)]


def environment(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """
    Write our JupyterLab defaults next to the copies, and return the environment to find them.

    Source: https://jupyterlab.readthedocs.io/en/stable/user/directories.html (overrides)
    """
    config = folder / ".jupyter"
    overrides = config / "labconfig" / "default_setting_overrides.json"
    overrides.parent.mkdir(parents=True, exist_ok=True)
    overrides.write_text(json.dumps(_SETTINGS, indent=1))
    known = environ.get("JUPYTER_CONFIG_PATH")
    path = os.pathsep.join([*filter(None, [known]), str(config)])
    return {**environ, "JUPYTER_CONFIG_PATH": path}


def open_jupyterlab(folder: Path, arguments: Sequence[str]) -> None:
    """
    Replace this process with JupyterLab, so that signals and the exit code are its own.
    """
    words = command(folder, arguments)
    os.execve(words[0], words, environment(folder, os.environ))  # noqa: S606 - no shell is meant
