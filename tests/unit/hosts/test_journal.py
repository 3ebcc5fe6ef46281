"""
What is secret reaches a host by standard input: sudo writes arguments into its journal.
"""

import ast
import os
import pwd
import re

from runbook_lib.hosts.installed import HostFile, ensure_files
from tests.fakes.ssh import LocalConnection, LocalSession
from tests.places import ROOT

REMOTE = {"run", "run_all", "run_with_input", "exec_command"}
SECRET = re.compile(r"secret|token|passw|credential|cookie|document|content|private_key|auth", re.I)
NOT_SECRET = {
    "_TOKEN",  # geodiff/web.py: the name of the secret, in a command for a person
}


def test_the_content_of_a_file_is_no_argument(tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(
        LocalSession,
        "exec_command",
        lambda self, command, run=LocalSession.exec_command: (
            commands.append(command),
            run(self, command),
        ),
    )
    here = pwd.getpwuid(os.getuid()).pw_name
    file = HostFile(str(tmp_path / "rclone.conf"), "pass = hunter2\n" * 20_000, "0600", here)
    assert [file.path] == ensure_files(LocalConnection(), [file])
    assert [] == ensure_files(LocalConnection(), [file])
    assert file.content == (tmp_path / "rclone.conf").read_text()
    assert 0o600 == (tmp_path / "rclone.conf").stat().st_mode & 0o777
    assert 2 == len(commands)
    assert "hunter2" not in "".join(commands)


def names(node):
    found = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    return found | {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}


def commands(function):
    """
    Each remote command of a function, with the names that its text is made of.
    """
    made_of = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                for name in names(target):
                    made_of.setdefault(name, set()).update(names(node.value))
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and names(node.func) & REMOTE:
            by_input = "run_with_input" in names(node.func)  # its third argument is the input
            texts = node.args[1:2] if by_input or len(node.args) > 1 else node.args
            left, used = set().union(*map(names, texts)), set()
            while left:
                used.add(name := left.pop())
                left |= made_of.get(name, set()) - used
            yield node.lineno, used


def test_no_remote_command_is_made_of_something_secret():
    found, wrong = 0, []
    for path in sorted((ROOT / "runbook_lib").rglob("*.py")):
        if path.parent.name == "agents":  # they run on the host
            continue
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef):
                for line, used in commands(function):
                    found += 1
                    secret = {n for n in used - NOT_SECRET if SECRET.search(n)}
                    wrong += [f"{path.relative_to(ROOT)}:{line}: {secret}"] if secret else []
    assert found > 60
    assert [] == wrong


def test_a_join_token_goes_through_the_api_and_the_api_through_a_fixed_command():
    """As an argument of `docker swarm join` it would be in the journal."""
    source = (ROOT / "runbook_lib/hosts/docker_ssh.py").read_text()
    assert 1 == source.count("exec_command(")
    assert 'exec_command("sudo -n docker system dial-stdio")' in source
    assert not re.search(r"docker swarm join(?! )", source)
    for path in (ROOT / "runbook_lib/swarm").glob("*.py"):
        assert "--token" not in path.read_text(), path
