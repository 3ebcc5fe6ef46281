"""
What the faults of hosts do inside an instance: each script, run here in namespaces of its own.
"""

import os
import shutil
import subprocess

import pytest

from lab.faults.hosts import (
    DROP,
    DROP_END,
    FULL,
    FULL_END,
    HOST_KINDS,
    KILL,
    LOCK,
    LOCK_END,
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and mounts are root's")


def run(script, *unshared):
    done = subprocess.run(
        [*unshared, "sh", "-ec", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout


@needs_root
@pytest.mark.skipif(not shutil.which("nft"), reason="nftables is not installed")
def test_dropped_packets_come_back_at_the_end():
    ping = (
        "python3 -c '"
        + (
            "import socket;"
            's=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.bind(("127.0.0.1",0));s.settimeout(0.5);'
            's.sendto(b"x",s.getsockname())\n'
            'try: print("heard" if s.recv(1) else "")\n'
            'except TimeoutError: print("silence")'
        )
        + "'"
    )
    script = "\n".join(["ip link set lo up", ping, DROP, DROP, ping, DROP_END, DROP_END, ping])

    assert ["heard", "silence", "heard"] == run(script, "unshare", "--net").split()


@needs_root
def test_a_full_disk_can_be_read_and_not_written_and_loses_nothing(tmp_path):
    folder = tmp_path / "usr"
    folder.mkdir()
    (folder / "here").write_text("before")
    places = {"folders": str(folder), "layers": str(tmp_path / "layers")}
    write = f"if echo x 2>/dev/null >{folder}/new; then echo written; else echo full; fi"
    begin, end = FULL.format(**places), FULL_END.format(**places)
    script = "\n".join([begin, begin, f"cat {folder}/here", "echo", write, end, end, write])

    said = run(script, "unshare", "--mount")
    assert ["before", "full", "written"] == said.split()


def test_a_held_lock_is_free_at_the_end(tmp_path):
    places = {"locks": f"{tmp_path}/a {tmp_path}/b", "pid": f"{tmp_path}/pid"}
    end = LOCK_END.format(**places)
    ask = f"""python3 -c '
import fcntl
try: fcntl.lockf(open("{tmp_path}/b", "a"), fcntl.LOCK_EX | fcntl.LOCK_NB); print("free")
except BlockingIOError: print("held")'"""
    begin = LOCK.format(end=end, **places)
    gone = f"while kill -0 $(cat {tmp_path}/kept) 2>/dev/null; do sleep 0.02; done"
    keep = f"cp {tmp_path}/pid {tmp_path}/kept"
    script = "\n".join([begin, begin, ask, keep, end, gone, ask, end])

    assert ["held", "free"] == run(script).split()


def test_a_program_is_killed_as_soon_as_it_runs(tmp_path):
    program = tmp_path / "lab-victim"
    shutil.copy(shutil.which("sleep"), program)
    with subprocess.Popen([str(program), "60"]) as victim:
        run(KILL.format(seconds=20, command=f"^{program} 60"))
        assert -9 == victim.wait(10)


def test_each_kind_says_what_it_is():
    assert {
        "hang",
        "drop",
        "reboot",
        "disk-full",
        "dpkg-lock",
        "dpkg-killed",
        "clock",
        "registry",
    } == set(HOST_KINDS)
    assert [] == [name for name, kind in HOST_KINDS.items() if not kind.what]
