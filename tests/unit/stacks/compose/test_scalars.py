"""
Plain scalars as go-yaml reads them; with a CLI that has `stack config`, compared with it.
"""

import functools
import subprocess

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook_lib.stacks.compose.reading import read
from runbook_lib.stacks.compose.rendering import render
from runbook_lib.stacks.compose.scalars import Timestamp, resolved

PLAIN = {
    "on": "on", "yes": "yes", "y": "y", "no": "no", "off": "off", "=": "=", "23:30": "23:30",
    "2222:22": "2222:22", "true": True, "TRUE": True, "False": False, "": None, "~": None,
    "null": None, "nULL": "nULL", "12": 12, "-1": -1, "+7": 7, "1_000": 1000, "_1": "_1", "1_": 1,
    "014": 12, "0o14": 12, "-0o14": -12, "08": 8.0, "0x1F": 31, "0b11": 3, "0": 0, "-0": 0,
    "18446744073709551615": 18446744073709551615, "18446744073709551616": 18446744073709551616.0,
    "1.5": 1.5, "1e3": 1000.0, ".5": 0.5, "1.": 1.0, "1e400": "1e400", ".e3": ".e3",
    "1.2.3": "1.2.3", "+.inf": float("inf"), ".5_0": 0.5, "._5": "._5",
    "1_0.5": 10.5, "-": "-", ".": ".",
    "0x": "0x",
    "2024-13-45": "2024-13-45", "2024-05-01": Timestamp("2024-05-01"),
    "2024-05-01T10:00:00+03:00": Timestamp("2024-05-01T10:00:00+03:00"),
    "2024-05-01 10:00:00": Timestamp("2024-05-01 10:00:00"),
    "2024-05-01 10:00:00Z": "2024-05-01 10:00:00Z", "2024-05-01T10:00:00": "2024-05-01T10:00:00",
    "2024-5-1T1:2:3.5Z": Timestamp("2024-5-1T1:2:3.5Z"), "0000-02-29": Timestamp("0000-02-29"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), PLAIN.items())
def test_a_plain_scalar_is_what_go_yaml_makes_of_it(text, value):
    assert (type(value), value) == (type(resolved(text)), resolved(text))


@functools.cache
def has_stack_config():
    command = ["docker", "stack", "config", "--help"]
    told = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    return "--compose-file" in told


SPELLINGS = st.one_of(
    # without those that are no plain scalar here, or that Docker refuses in both places
    st.sampled_from(sorted(PLAIN.keys() - {"", "-", "+.inf", "true", "TRUE", "False"})),
    st.from_regex(r"[-+]?[0-9][0-9_]{0,7}(\.[0-9]{0,3})?([eE][-+]?[0-9]{1,2})?", fullmatch=True),
    st.from_regex(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}", fullmatch=True),
    st.text(st.characters(exclude_categories=["C"], exclude_characters="$")).map(
        lambda text: "'" + text.replace("'", "''") + "'"
    ),
)


@pytest.mark.docker_cli
@given(st.lists(SPELLINGS, min_size=40, max_size=40))
@settings(max_examples=3, deadline=None)
def test_every_scalar_comes_out_as_docker_reads_it(tmp_path_factory, spellings):
    if not has_stack_config():
        pytest.skip("no Docker CLI with `stack config`")
    folder = tmp_path_factory.mktemp("spelled")
    lines = [f"      v{n}: {text}" for n, text in enumerate(spellings)]
    service = "services:\n  one:\n    image: x\n"
    for key in ("environment", "labels"):
        (folder / "stack.yml").write_text("\n".join([f"{service}    {key}:", *lines, ""]))
        [text] = render(read(folder / "stack.yml"), {}, {})
        (folder / "rendered.yml").write_text(text)

        assert configured(folder, "stack.yml", key) == configured(folder, "rendered.yml", key)


def configured(folder, name, key):
    command = ["docker", "stack", "config", "--compose-file", name]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return yaml.load(done.stdout, yaml.CBaseLoader)["services"]["one"][key]
