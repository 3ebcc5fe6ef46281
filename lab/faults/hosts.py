"""
Hosts that fail on purpose: each kind is a way to begin and a way to end on one instance.

What a kind does inside an instance is a shell script. Each can be repeated, begun or ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab.faults.armed import Fault
from lab.machines.containers import Machines

_OUTER = "nsenter --net=/run/netns/outer"  # in front of the guest, whose own firewall may not help

# Both ways, and what is established, too: a cable that was pulled.
DROP = """
nft -f - <<'RULES'
table inet lab_fault
delete table inet lab_fault
table inet lab_fault {
  chain everything { type filter hook prerouting priority -400; policy drop; }
}
RULES
"""
DROP_END = "nft delete table inet lab_fault 2>/dev/null || true"

# A layer without room above each folder: all instances share the host's disk, which must not fill.
# What is there can be read, and no byte is written that would be gone at the end.
FULL_FOLDERS = "/usr /var/cache /srv"
FULL = """
for folder in {folders}; do
  [ -d $folder ] || mkdir $folder
  layer={layers}/$(echo $folder | tr / _)
  if mountpoint -q $layer; then continue; fi
  mkdir -p $layer
  mount -t tmpfs -o size=128k tmpfs $layer
  mkdir $layer/upper $layer/work
  mount -t overlay -o lowerdir=$folder,upperdir=$layer/upper,workdir=$layer/work overlay $folder
  dd if=/dev/zero of=$layer/filled bs=4k 2>/dev/null || true
done
"""
FULL_END = """
for folder in {folders}; do
  layer={layers}/$(echo $folder | tr / _)
  if mountpoint -q $layer; then umount -l $folder; umount -l $layer; fi
done
"""

# As unattended-upgrades holds it.
LOCK = """
{end}
setsid python3 -c '
import fcntl, os, sys, time
held = [open(path, "w") for path in sys.argv[2:]]
for file in held: fcntl.lockf(file, fcntl.LOCK_EX)
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(3600)
' {pid} {locks} </dev/null >/dev/null 2>&1 &
timeout 60 sh -c 'until [ -s {pid} ]; do sleep 0.1; done'
"""
LOCK_END = "if [ -s {pid} ]; then kill $(cat {pid}) 2>/dev/null || true; rm -f {pid}; fi"
_LOCKS = {
    "locks": "/var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock",
    "pid": "/run/lab-fault-lock",
}

KILL = "timeout {seconds} sh -c 'until pkill -KILL -f \"{command}\"; do sleep 0.02; done'"

# The lab takes a machine that ends by itself, but does not reboot, for one that was switched off.
REBOOT = "setsid sh -c 'sleep 0.5; systemctl reboot --force --force' </dev/null >/dev/null 2>&1 &"

# All containers share the host's clock; programs that start from now on read another one.
CLOCK = """
library=$(ls /usr/lib/*/faketime/libfaketimeMT.so.1)
printf '%s\\n' '{offset}' >/etc/faketimerc
echo $library >/etc/ld.so.preload
"""
CLOCK_END = "rm -f /etc/ld.so.preload /etc/faketimerc"

REGISTRY = """
docker ps --quiet --filter label=com.docker.swarm.service.name=registry_registry |
  xargs --no-run-if-empty docker {verb}
"""


Act = Callable[[Machines, str, Fault], str]


@dataclass(frozen=True)
class HostKind:
    """
    A kind of fault of a host.

    `begin` and `end` get the machines, the id of an instance and the fault, and return what they
    did; both can be repeated. `end` is None for what is over by itself.
    """

    what: str
    begin: Act
    end: Act | None = None


def _hang(machines: Machines, instance_id: str, fault: Fault) -> str:
    machines.pause(instance_id)
    return "paused: it answers nothing, and its connections stay open"


def _wake(machines: Machines, instance_id: str, fault: Fault) -> str:
    machines.unpause(instance_id)
    return "runs again"


def _kill_dpkg(machines: Machines, instance_id: str, fault: Fault) -> str:
    configuring = "^/usr/bin/dpkg .*--configure"  # as apt calls it; everything is unpacked by then
    machines.execute(instance_id, KILL.format(seconds=fault.seconds or 60, command=configuring))
    return "dpkg was killed"


def _clock(machines: Machines, instance_id: str, fault: Fault) -> str:
    machines.execute(instance_id, CLOCK.format(offset="-400d"))
    return "programs that start now are 400 days behind; not those of Go"


def _script(text: str, did: str) -> Act:
    def act(machines: Machines, instance_id: str, fault: Fault) -> str:
        machines.execute(instance_id, text)
        return did

    return act


def _outside(text: str, did: str) -> Act:
    return _script(f"{_OUTER} sh -e <<'SCRIPT'\n{text}\nSCRIPT\n", did)


_PLACES = {"folders": FULL_FOLDERS, "layers": "/run/lab-full"}
_UNLOCK = LOCK_END.format(**_LOCKS)

HOST_KINDS = {
    "hang": HostKind("a host that answers nothing", _hang, _wake),
    "drop": HostKind(
        "all packets to and from a host are dropped",
        _outside(DROP, "its packets are dropped, those of open connections, too"),
        _outside(DROP_END, "its packets pass again"),
    ),
    "reboot": HostKind("a host loses its power, and boots", _script(REBOOT, "boots")),
    "disk-full": HostKind(
        f"a full disk: no byte can be written below {FULL_FOLDERS}",
        _script(FULL.format(**_PLACES), f"{FULL_FOLDERS} are full"),
        _script(FULL_END.format(**_PLACES), "there is room again"),
    ),
    "dpkg-lock": HostKind(
        "the locks of dpkg and of apt's lists are held",
        _script(LOCK.format(end=_UNLOCK, **_LOCKS), "the locks are held"),
        _script(_UNLOCK, "the locks are free"),
    ),
    "dpkg-killed": HostKind(
        "the next dpkg that configures packages within SECONDS [60] is killed", _kill_dpkg
    ),
    "clock": HostKind("a clock that is off by 400 days", _clock, _script(CLOCK_END, "right again")),
    "registry": HostKind(
        "the registry of the cluster hangs; ONLY names the manager",
        _script(REGISTRY.format(verb="pause"), "its registry is paused"),
        _script(REGISTRY.format(verb="unpause"), "its registry runs again"),
    ),
}
