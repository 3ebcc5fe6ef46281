"""
The exception tree; each leaf also inherits from the builtin that it resembles.

    RunbookError
    ├── ParameterError     (ValueError)        a parameter is missing, unknown or out of range
    ├── AccessError        (PermissionError)   no credentials, or a right is missing
    ├── UnavailableError   (ConnectionError)   AWS fails or does not answer, asked repeatedly
    ├── NotFoundError      (LookupError)       something that an earlier notebook creates is missing
    ├── CapacityError      (RuntimeError)      a quota is reached, or a zone has no room
    ├── ConflictError      (RuntimeError)      something that we did not create, or that differs
    ├── CommandError       (OSError)           a command failed on one or more hosts
    ├── WaitTimeoutError   (TimeoutError)      a wait timed out; the message says what it saw last
    ├── IntegrityError     (ValueError)        data does not match its checksum
    ├── CheckFailedError   (AssertionError)    a notebook's check did not see the expected value
    └── StepFailedError    (RuntimeError)      a notebook of a headless run failed
"""

from runbook_lib.core.words import printable


class RunbookError(Exception):
    """
    An error with three parts: what was expected and seen, the evidence, and the next step.

    A host or a log can say anything in the evidence: control characters are escaped.
    """

    def __init__(self, message: str, *, evidence: str = "", next_step: str = "") -> None:
        parts = [message]
        if evidence:
            parts.append("\n".join(f"  {line}" for line in evidence.strip().splitlines()))
        if next_step:
            parts.append(f"  next: {next_step}")
        super().__init__("\n".join(map(printable, "\n".join(parts).expandtabs().split("\n"))))

    def _render_traceback_(self) -> list[str]:
        # called by IPython: a notebook shows the message without our own stack
        return [f"{type(self).__name__}: {self}"]


class ParameterError(RunbookError, ValueError): ...


class AccessError(RunbookError, PermissionError): ...


class UnavailableError(RunbookError, ConnectionError): ...


class NotFoundError(RunbookError, LookupError): ...


class CapacityError(RunbookError, RuntimeError): ...


class ConflictError(RunbookError, RuntimeError): ...


class CommandError(RunbookError, OSError): ...


class WaitTimeoutError(RunbookError, TimeoutError): ...


class IntegrityError(RunbookError, ValueError): ...


class CheckFailedError(RunbookError, AssertionError): ...


class StepFailedError(RunbookError, RuntimeError): ...
