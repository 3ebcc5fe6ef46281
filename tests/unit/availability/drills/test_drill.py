"""
What a drill reads after its fault, while the Swarm is still replacing containers.
"""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from docker.errors import APIError

from runbook_lib.availability.drills.drill import _read_log

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


def container(status):
    def logs(**_):
        if status == 200:
            return b"a line"
        raise APIError("no", response=SimpleNamespace(status_code=status))

    return SimpleNamespace(logs=logs)


@pytest.mark.parametrize(("status", "expected"), [(200, "a line"), (404, ""), (409, "")])
def test_a_container_that_docker_is_removing_has_no_log(status, expected):
    """As Docker says it: not found, or "dead or marked for removal"."""
    assert expected == _read_log(container(status), SINCE)


def test_any_other_refusal_is_an_error():
    with pytest.raises(APIError):
        _read_log(container(500), SINCE)
