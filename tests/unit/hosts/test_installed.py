"""
Packages of a host whose dpkg was killed, or is held by another: real dpkg and apt, in a folder.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import time

import pytest

from runbook_lib.hosts import engine
from runbook_lib.hosts.installed import PACKAGES, install_packages

TOOLS = ("apt-get", "dpkg", "dpkg-deb")
pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)),
    reason="this machine has no apt: it is neither Debian nor Ubuntu",
)

CONTROL = """Package: {name}
Version: 1
Architecture: all
Maintainer: the tests <tests@example.org>
Description: a package of the tests
{more}"""
# a name that dpkg's programs run by, and the killer of the dpkg that runs it
KILLER = '#!/bin/sh\nif [ -e "{kill}" ]; then kill -9 $PPID; fi\n'


class Host:
    """
    A machine that is a folder: a database of packages, and a repository with `base` and `app`,
    which needs it. While the file `kill` exists, dpkg is killed when it configures `base`; with
    `kill_early`, when it unpacks it.
    """

    def __init__(self, folder):
        self.folder, self.kill, self.kill_early = folder, folder / "kill", folder / "kill-early"
        self.admin = folder / "root/var/lib/dpkg"
        for name in ("info", "updates", "triggers"):
            (self.admin / name).mkdir(parents=True)
        (self.admin / "status").touch()
        for name in ("etc/apt", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):
            (folder / "root" / name).mkdir(parents=True)
        (folder / "root/var/log/apt").mkdir(parents=True)
        self._program("dpkg", "exec /usr/bin/dpkg --root={root} --force-not-root "
                              '--force-script-chrootless "$@"')  # fmt: skip
        self._repository()
        settings = f'Dir "{folder}/root"; Dir::Bin::dpkg "{folder}/bin/dpkg";'
        (folder / "apt.conf").write_text(settings + 'APT::Sandbox::User "root";\n')
        self.environment = os.environ | {
            "APT_CONFIG": f"{folder}/apt.conf",
            "DPKG_ADMINDIR": str(self.admin),
            "PATH": f"{folder}/bin:{os.environ['PATH']}",
        }
        self.run("apt-get -qq update")

    def _program(self, name, text):
        (self.folder / "bin").mkdir(exist_ok=True)
        path = self.folder / "bin" / name
        path.write_text("#!/bin/sh\n" + text.format(root=self.folder / "root") + "\n")
        path.chmod(0o755)

    def _repository(self):
        index = ""
        for name, more in (("base", ""), ("app", "Depends: base\n")):
            package = self.folder / name
            (package / "DEBIAN").mkdir(parents=True)
            control = CONTROL.format(name=name, more=more)
            (package / "DEBIAN/control").write_text(control)
            for script, kill in (("preinst", self.kill_early), ("postinst", self.kill)):
                program = package / "DEBIAN" / script
                program.write_text(KILLER.format(kill=kill if name == "base" else ""))
                program.chmod(0o755)
            archive = self.folder / f"repository/{name}.deb"
            archive.parent.mkdir(exist_ok=True)
            command = ["dpkg-deb", "--root-owner-group", "--build", str(package), str(archive)]
            subprocess.run(command, check=True, capture_output=True)
            data = archive.read_bytes()
            index += f"{control}Filename: ./{name}.deb\nSize: {len(data)}\n"
            index += f"SHA256: {hashlib.sha256(data).hexdigest()}\n\n"
        (self.folder / "repository/Packages").write_text(index)
        line = f"deb [trusted=yes] file:{self.folder}/repository ./\n"
        (self.folder / "root/etc/apt/sources.list").write_text(line)

    def run(self, script):
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env=self.environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def installed(self):
        states = self.run("dpkg-query --show --showformat '${Package} ${Status}\n' --admindir " +
                          str(self.admin)).stdout.splitlines()  # fmt: skip
        return sorted(s.split()[0] for s in states if s.endswith("install ok installed"))


@pytest.fixture
def host(tmp_path):
    """A machine with apt, where nothing is installed."""
    return Host(tmp_path)


def interrupt(host, script):
    host.kill.touch()
    assert 0 != host.run(script).returncode
    host.kill.unlink()
    assert [] == host.installed()


def test_apt_itself_refuses_after_dpkg_was_killed(host):
    """The premise of all the rest."""
    interrupt(host, "apt-get -qq install -y app")

    assert "you must manually run" in host.run("apt-get -qq install -y app").stderr


def test_an_installation_goes_on_where_dpkg_was_killed(host):
    script = install_packages("app")
    interrupt(host, script)
    done = host.run(script)

    assert (0, "") == (done.returncode, done.stdout), done.stderr
    assert ["app", "base"] == host.installed()


def test_what_was_mended_is_said_once(host):
    interrupt(host, "apt-get -qq install -y app")

    assert ["mended\n", ""] == [host.run(f"{PACKAGES}\nmend").stdout for _ in range(2)]
    assert "base" in host.installed()


def test_the_change_log_of_docker_tells_of_it(monkeypatch):
    """The answer of a host that had Docker, and half a package of something else."""
    monkeypatch.setattr(engine, "run", lambda *_, **__: "mended\npresent\n")
    changes = engine.ensure_engine({"worker-1": None}, docker_source="distro", options={})

    assert ["worker-1 finished an installation that was interrupted"] == [
        f"{change.name} {change.action}" for change in changes
    ]


def test_a_package_without_what_it_needs_is_completed(host):
    """It was killed between two packages: one was unpacked, the other not fetched yet."""
    host.run(f"dpkg --unpack {host.folder}/repository/app.deb")

    assert "mended\n" == host.run(f"{PACKAGES}\nmend").stdout
    assert ["app", "base"] == host.installed()


def test_a_package_that_was_half_unpacked_is_unpacked_again(host):
    """What needs it is unpacked already: apt alone fails here, for ever."""
    host.kill_early.touch()
    archives = [f"{host.folder}/repository/{name}.deb" for name in ("app", "base")]
    assert 0 != host.run(f"dpkg --unpack {' '.join(archives)}").returncode
    host.kill_early.unlink()
    assert "reinstalled" in host.run("dpkg --audit").stdout

    assert "mended\n" == host.run(f"{PACKAGES}\nmend").stdout
    assert ["app", "base"] == host.installed()


def test_a_whole_host_costs_nothing(host):
    began = time.monotonic()
    done = host.run(f"{PACKAGES}\npackages() {{ exit 9; }}\nmend")

    assert (0, "") == (done.returncode, done.stdout)
    assert time.monotonic() - began < 5


def test_a_lock_that_another_holds_is_waited_for(host):
    """An interrupted host, and the updates of the night at the same time."""
    interrupt(host, "apt-get -qq install -y app")
    with (host.admin / "lock-frontend").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        running = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", f"{PACKAGES}\nmend"],
            env=host.environment, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(3)
    output, _ = running.communicate(timeout=60)

    assert "mended\n" == output


def test_a_lock_that_is_never_given_back_ends_the_wait_with_its_holder(host):
    interrupt(host, "apt-get -qq install -y app")
    with (host.admin / "lock-frontend").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        done = host.run(PACKAGES.replace("SECONDS + 600", "SECONDS + 2") + "\nmend")

    assert 0 != done.returncode
    assert f"was locked by another process with pid {os.getpid()}" in done.stderr
