"""
Environment variables and Docker secrets, checked as they are read.
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

Number = TypeVar("Number", int, float)
Settings = TypeVar("Settings")


class SettingsError(ValueError):
    """
    One or more variables are missing or wrong; the message names all of them.
    """


class Reader:
    """
    Read variables one by one, collect what is wrong, and report all of it at the end.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def text(self, name: str, default: str = "", pattern: str = r".+") -> str:
        value = self._environ.get(name, "").strip() or default
        if not re.fullmatch(pattern, value):
            rule = "must be set" if not value else f"must match {pattern}"
            self.problems.append(f"{name}={value!r} {rule}")
        return value

    def _number(
        self,
        name: str,
        default: Number,
        low: float,
        high: float,
        convert: Callable[[str], Number],
    ) -> Number:
        raw = self._environ.get(name, "").strip()
        try:
            value = convert(raw) if raw else default
        except ValueError:
            self.problems.append(f"{name}={raw!r} must be a number ({convert.__name__})")
            return default
        if not low <= value <= high:
            self.problems.append(f"{name}={raw!r} must be between {low:g} and {high:g}")
            return default
        return value

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        return self._number(name, default, low, high, int)

    def real(self, name: str, default: float, low: float, high: float) -> float:
        return self._number(name, default, low, high, float)

    def directory(self, name: str, default: str, *, writable: bool) -> Path:
        path = Path(self.text(name, default))
        needed = os.R_OK | os.X_OK | (os.W_OK if writable else 0)
        if not path.is_dir() or not os.access(path, needed):
            kind = "writable" if writable else "readable"
            self.problems.append(f"{name}={path} must be a directory {kind} by uid {os.getuid()}")
        return path

    def audit(self) -> Path | None:
        """
        The folder for the audit of a drill; None if there is none.
        """
        if self.text("AUDIT", "no", r"no|/.+") == "no":
            return None
        return self.directory("AUDIT", "no", writable=True)

    def secret(self, name: str, default_file: str) -> str:
        """
        Read the secret in the file that the variable names; its value is never shown.
        """
        path = Path(self.text(name, default_file))
        try:
            value = path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as exc:
            self.problems.append(f"{name}={path} cannot be read: {exc.__class__.__name__}")
            return ""
        if not value:
            self.problems.append(f"{name}={path} is empty")
        return value

    def done(self, settings: Settings) -> Settings:
        """
        Return what was read; SettingsError if anything was wrong.
        """
        if self.problems:
            raise SettingsError(
                f"{len(self.problems)} settings are not usable:\n  "
                + "\n  ".join(self.problems)
                + "\n  next: set them in the `environment` of the service in the stack file"
            )
        return settings
