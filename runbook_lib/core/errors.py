"""
What can go wrong, as one tree; each leaf is also the builtin that it resembles.

    RunbookError
    ├── ParameterError     (ValueError)        a parameter is missing, unknown or out of range
    ├── AccessError        (PermissionError)   no credentials, or a right is missing
    ├── NotFoundError      (LookupError)       something that an earlier notebook makes is not there
    ├── ConflictError      (RuntimeError)      the name belongs to something that we did not make
    ├── CommandError       (OSError)           a command failed on one or more hosts
    ├── WaitTimeoutError   (TimeoutError)      a wait reached its limit
    ├── IntegrityError     (ValueError)        data is not what its checksum says
    ├── CheckFailedError   (AssertionError)    a notebook's check saw something else
    └── StepFailedError    (RuntimeError)      a notebook of a headless run failed
"""


class RunbookError(Exception):
    """
    A message of three parts: what was expected and seen, the evidence, the next step.
    """

    def __init__(self, message: str, *, evidence: str = "", next_step: str = "") -> None:
        parts = [message]
        if evidence:
            parts.append("\n".join(f"  {line}" for line in evidence.strip().splitlines()))
        if next_step:
            parts.append(f"  next: {next_step}")
        super().__init__("\n".join(parts))

    def _render_traceback_(self) -> list[str]:
        """
        Let a notebook show the message alone: the stack is ours, the message is the reader's.
        """
        return [f"{type(self).__name__}: {self}"]


class ParameterError(RunbookError, ValueError):
    """
    A parameter is missing, unknown, mistyped or out of range.
    """


class AccessError(RunbookError, PermissionError):
    """
    No credentials, or a right is missing.
    """


class NotFoundError(RunbookError, LookupError):
    """
    Something that an earlier notebook makes is not there.
    """


class ConflictError(RunbookError, RuntimeError):
    """
    A name belongs to something that this runbook did not make, or that differs too much.
    """


class CommandError(RunbookError, OSError):
    """
    A command failed on one or more hosts.
    """


class WaitTimeoutError(RunbookError, TimeoutError):
    """
    A wait reached its limit; the message tells what was last seen.
    """


class IntegrityError(RunbookError, ValueError):
    """
    Data is not what its checksum says.
    """


class CheckFailedError(RunbookError, AssertionError):
    """
    A notebook's check saw something other than it expected.
    """


class StepFailedError(RunbookError, RuntimeError):
    """
    A notebook of a headless run failed.
    """
