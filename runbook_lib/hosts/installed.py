"""
Installation on an instance: packages, files and systemd units.
"""

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import fabric

from runbook_lib.hosts.ssh import run, run_with_input

PACKAGES = """
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
packages() { apt-get -o DPkg::Lock::Timeout=600 -o DPkg::Options::=--force-confold -qq "$@"; }
refresh() {  # the package lists have a lock of their own, which apt does not wait for
  for attempt in $(seq 20); do packages update && return; sleep 10; done
  return 1
}
mend() {  # after dpkg was killed, apt refuses everything until that is finished
  [ -n "$(ls "${DPKG_ADMINDIR:-/var/lib/dpkg}/updates"; dpkg --audit)" ] || return 0
  local said torn deadline=$((SECONDS + 600))
  until said=$(dpkg --force-confold --configure -a 2>&1); do
    case $said in *"was locked by another process"*) ;; *) break ;; esac  # it does not wait
    if [ $SECONDS -ge $deadline ]; then echo "$said" >&2; return 1; fi
    sleep 1
  done
  # half unpacked: apt would configure first what needs them, and fail
  torn=$(dpkg-query --show --showformat '${db:Status-Abbrev} ${binary:Package}\n' |
    awk '$1 ~ /R$/ {print $2}')
  [ -z "$torn" ] || dpkg --force-remove-reinstreq --force-depends --remove $torn >/dev/null 2>&1
  if ! said=$(packages --fix-broken install -y 2>&1); then
    refresh >/dev/null 2>&1 || true  # its archive may be gone since
    said=$(packages --fix-broken install -y 2>&1) || { echo "$said" | tail -5 >&2; return 1; }
  fi
  echo mended
}
"""
"""
Shell functions around apt-get. `mend` finishes what was interrupted and says `mended`; locks are
waited for, ten minutes at most.
"""

# runs on the instance, as root, under its own python3
_WRITE = """
import json, os, pwd, sys
for wanted in json.load(sys.stdin):
    path, content, mode = wanted["path"], wanted["content"].encode(), int(wanted["mode"], 8)
    owner = pwd.getpwnam(wanted["owner"])
    try:
        with open(path, "rb") as file:
            held, state = file.read(), os.fstat(file.fileno())
            same = held == content and (state.st_mode & 0o777, state.st_uid) == (mode, owner.pw_uid)
    except FileNotFoundError:
        same = False
    if same:
        continue
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with open(os.open(path + ".partial", flags, 0o600), "wb") as file:
        file.write(content)
    os.chown(path + ".partial", owner.pw_uid, owner.pw_gid)
    os.chmod(path + ".partial", mode)
    os.replace(path + ".partial", path)
    print(path)
"""


@dataclass(frozen=True)
class HostFile:
    """
    A wanted file; `mode` is octal, as in chmod.
    """

    path: str
    content: str
    mode: str = "0644"
    owner: str = "root"


def ensure_files(connection: fabric.Connection, files: Sequence[HostFile]) -> list[str]:
    """
    Write the files that differ, and return their paths. Their folders must exist.

    What is in them is no argument: sudo writes those into the host's journal.
    """
    wanted = json.dumps([asdict(file) for file in files]).encode()
    script = f"python3 -c {shlex.quote(_WRITE)}"
    said = run_with_input(connection, script, wanted, sudo=True).splitlines()
    return [file.path for file in files if file.path in said]  # sudo may have written a warning


def install_packages(*packages: str) -> str:
    """
    Return a script that installs the distribution's packages; it updates the lists only if needed.
    """
    install = f"packages install -y {shlex.join(packages)}"
    every = f"mend && {{ {install} 2>/dev/null || {{ refresh && {install}; }}; }}"
    return f": install {shlex.join(packages)}{PACKAGES} {{ {every}; }} >/dev/null"


def start_unit(
    connection: fabric.Connection, unit: str, *, changed: bool = False, verb: str = "restart"
) -> bool:
    """
    Run a unit now and after every boot; return False if it already does and nothing changed.

    `verb` is "start" for a unit that a change must not stop.
    """
    unit, verb = shlex.quote(unit), shlex.quote(verb)
    script = f"""
    if systemctl -q is-active {unit} && systemctl -q is-enabled {unit} && [ {int(changed)} = 0 ]
    then exit; fi
    systemctl daemon-reload
    systemctl enable {unit} >/dev/null 2>&1
    systemctl {verb} {unit} || {{ journalctl --unit {unit} --no-pager --lines 8; exit 1; }}
    echo started
    """
    return bool(run(connection, script, sudo=True).strip())


def find_installed(connection: fabric.Connection, paths: Sequence[str]) -> list[str]:
    """
    Return the paths that exist on the instance.
    """
    return run(connection, _existing(paths), sudo=True).split()


def remove_installed(
    connection: fabric.Connection, units: Sequence[str], paths: Sequence[str]
) -> list[str]:
    """
    Stop and disable the units, in this order, then remove the paths; return those removed.
    """
    script = f"""
    for unit in {shlex.join(units)}; do
      systemctl disable $unit >/dev/null 2>&1 || true
      systemctl stop $unit >/dev/null 2>&1 || true
      systemctl reset-failed $unit >/dev/null 2>&1 || true
    done
    for path in $({_existing(paths)}); do echo $path; rm -rf $path; done
    systemctl daemon-reload
    """
    return run(connection, script, sudo=True).split()


def _existing(paths: Sequence[str]) -> str:
    return f"for path in {shlex.join(paths)}; do if [ -e $path ]; then echo $path; fi; done"
