"""
The values that Docker makes numbers and booleans of, where a variable was replaced in them.
"""

import re

from runbook_lib.stacks.compose.documents import Keys

_BOOL = {
    **dict.fromkeys(["y", "yes", "true", "on"], True),
    **dict.fromkeys(["n", "no", "false", "off"], False),
}
_INTEGERS = """
services.*.configs.[].mode services.*.secrets.[].mode services.*.healthcheck.retries
services.*.deploy.replicas services.*.deploy.update_config.parallelism
services.*.deploy.rollback_config.parallelism services.*.deploy.restart_policy.max_attempts
services.*.deploy.placement.max_replicas_per_node services.*.ports.[].target
services.*.ports.[].published services.*.ulimits.* services.*.ulimits.*.hard
services.*.ulimits.*.soft
"""
_NUMBERS = """
services.*.deploy.update_config.max_failure_ratio
services.*.deploy.rollback_config.max_failure_ratio
"""
_BOOLEANS = """
services.*.healthcheck.disable services.*.privileged services.*.read_only services.*.stdin_open
services.*.tty services.*.volumes.[].read_only services.*.volumes.[].volume.nocopy
networks.*.external networks.*.internal networks.*.attachable volumes.*.external
secrets.*.external configs.*.external
"""


def cast(text: str, keys: Keys) -> str | int | float | bool:
    """
    Return what Docker makes of a text at these keys in which a variable was replaced.
    """
    path = ["[]" if isinstance(key, int) else key for key in keys]
    if _is_in(path, _INTEGERS) and re.fullmatch(r"[-+]?[0-9]{1,300}", text):
        return int(text)
    if _is_in(path, _NUMBERS) and re.fullmatch(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)", text):
        return float(text)
    if _is_in(path, _BOOLEANS) and text.lower() in _BOOL:
        return _BOOL[text.lower()]
    return text


def _is_in(path: list[str], paths: str) -> bool:
    patterns = [pattern.split(".") for pattern in paths.split()]
    return any(
        len(pattern) == len(path) and all(w in ("*", p) for w, p in zip(pattern, path, strict=True))
        for pattern in patterns
    )
