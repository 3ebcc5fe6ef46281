"""
The tiles on S3 for real: moved there and back, with processes that die in between.

The tests stand in the order of the steps and build on each other, on a cluster where 00 to 07 ran.
"""

import json
import shlex
import time
from types import SimpleNamespace

import botocore.session
import pytest
import requests

from runbook_lib.availability.tiles_on_s3 import mount, volume_users
from runbook_lib.availability.tiles_on_s3.volume_users import find_users
from runbook_lib.cloud import instances, tiles_bucket
from runbook_lib.core.errors import CommandError
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.geodiff import tiles
from runbook_lib.hosts import docker_ssh, ssh

pytestmark = [pytest.mark.lab, pytest.mark.availability, pytest.mark.usefixtures("deployed")]

COUNT, REMOVED, REFUSED_S = 40, 30, 20
WRITE = """
import os, sys
from pathlib import Path
from geodiff.tiles import write_atomic
for number in range(int(sys.argv[1])):
    write_atomic(Path("/tiles/.proof", f"{number}.png"), os.urandom(20_000))
    print(number, flush=True)
"""
"""As an updater does it: what is printed would be acknowledged to the broker."""


def test_the_tiles_move_and_nothing_else_notices(runbook):
    """The second run says no changes, and so do the steps before it."""
    first = on_s3(runbook)
    second = on_s3(runbook)
    again = runbook.run("--to", "07")

    assert "passed" == first["verdict"] == second["verdict"]
    assert [] == second["changes"]
    assert {"passed"} == {page["verdict"] for page in again.values()}
    assert [] == [change for page in again.values() for change in page["changes"]]


def test_what_was_acknowledged_is_in_s3_when_the_mount_dies_at_once(runbook):
    """A result is never on the manager alone; and the services find the mount again."""
    live = cluster(runbook)
    counted = count(live.manager)
    unit = mount.MOUNT_UNIT
    kill = f"systemctl kill --signal SIGKILL {unit}"
    said = ssh.run(live.manager, f"{written_by_a_container(live)}; {kill}", sudo=True)
    names = keys(live, ".proof/")

    assert [str(number) for number in range(COUNT)] == said.split()
    assert {f".proof/{number}.png" for number in range(COUNT)} == set(names)
    until_it_serves(live)
    assert counted == count(live.manager)
    for user in find_users(live.leader, tiles.VOLUME):
        assert live.before[user.name] == volume_users.running_tasks(live.leader, user.name)
    ssh.run(live.manager, "rm -r /srv/tiles/.proof", sudo=True)


def test_what_s3_refuses_to_rename_is_not_acknowledged(runbook):
    """S3 takes the temporary object and refuses its final name: the write has failed."""
    live = cluster(runbook)
    refuse(live, "s3:PutObject", ".proof/*.png")
    try:
        with pytest.raises(CommandError, match="Input/output error"):
            ssh.run(live.manager, f"{written_by_a_container(live)} 2>&1", sudo=True)
    finally:
        live.s3.delete_bucket_policy(Bucket=live.bucket.name)

    assert [] == keys(live, ".proof/")
    said = ssh.run(live.manager, written_by_a_container(live), sudo=True)
    assert [str(number) for number in range(COUNT)] == said.split()
    assert {f".proof/{number}.png" for number in range(COUNT)} == set(keys(live, ".proof/"))
    remove = "rm -rf /srv/tiles/.proof 2>/dev/null; [ ! -e /srv/tiles/.proof ] || echo there"

    def probe():  # rclone lists what was refused until its listing is old
        return Pending("it is listed") if ssh.run(live.manager, remove, sudo=True) else True

    wait_for("The folder is gone", probe, timeout_s=90, poll_s=2)


def test_what_a_crash_leaves_is_never_under_a_tiles_name_and_is_removed(runbook):
    """A rename is a copy and a removal: a name has all of a result, or there is none."""
    live = cluster(runbook)
    folder = ssh.run(live.manager, "ls -d /srv/tiles/DESERT/*/3/3 | head -1").strip()
    stray = f"{folder}/.9.png.gone.1.1.writing"
    ssh.run(live.manager, f"echo half >{stray}; test -e {stray}", sudo=True)
    (updater,) = [u for u in find_users(live.leader, tiles.VOLUME) if u.name.endswith("updater")]
    name = shlex.quote(updater.name)
    ssh.run(live.manager, f"docker service update --quiet --force {name} >/dev/null", sudo=True)

    wait_for("The stray is gone", lambda: is_gone(live.manager, stray), timeout_s=90)
    assert [] == [key for key in keys(live, "DESERT/") if key.endswith(".writing")]


def test_results_that_are_gone_are_made_again_once_s3_answers(runbook):
    """Dealt, segmented and written, all through S3, after it refused everything for a while."""
    live = cluster(runbook)
    counted = count(live.manager)
    find = f"find /srv/tiles/OCEAN-SEA -name '[!.]*.png' | sed -n 1,{REMOVED}p"
    ssh.run(live.manager, f"{find} | xargs rm", sudo=True)
    assert counted != count(live.manager)
    refuse(live, "s3:*", "*")
    time.sleep(REFUSED_S)
    live.s3.delete_bucket_policy(Bucket=live.bucket.name)

    def probe():
        seen = count(live.manager)
        return seen == counted or Pending(json.dumps(seen))

    wait_for("Every result", probe, timeout_s=240, poll_s=2)


def test_nothing_with_tiles_in_it_goes_unasked(runbook):
    """94 would empty the bucket through the mount, and 90 would leave it behind or delete it."""
    live = cluster(runbook)
    counted = count(live.manager)
    assert "run 36_remove_tiles_on_s3" in failed(runbook, "94")
    assert "without a decision" in failed(runbook, "90", bucket_with_tiles="refuse")
    assert counted == count(live.manager)


def test_the_way_back_twice(runbook):
    """Then the six are as they were, and no trace of S3 is left."""
    live = cluster(runbook)
    counted = count(live.manager)
    first = off_s3(runbook)
    second = off_s3(runbook)
    again = runbook.run("--to", "07")

    assert "passed" == first["verdict"] == second["verdict"]
    assert [] == second["changes"]
    assert counted == count(live.manager)
    assert [] == [change for page in again.values() for change in page["changes"]]
    assert [] == [b for b in live.s3.list_buckets()["Buckets"] if b["Name"] == live.bucket.name]


def test_a_move_that_was_killed_between_the_folders_ends_well(runbook):
    """Services at none, the folder aside, nothing mounted: the worst moment there is."""
    live = cluster(runbook)
    counted = count(live.manager)
    volume_users.pause(live.manager, live.leader, tiles.VOLUME)
    ssh.run(live.manager, "mv -T /srv/tiles /srv/tiles-local", sudo=True)

    assert "passed" == on_s3(runbook)["verdict"]
    assert counted == count(live.manager)
    for user in find_users(live.leader, tiles.VOLUME):
        assert live.before[user.name] == volume_users.running_tasks(live.leader, user.name)
    assert "passed" == off_s3(runbook)["verdict"]
    assert counted == count(live.manager)


def on_s3(runbook):
    return runbook.run("--only", "31", **place(runbook), listing_s=60)["31"]


def off_s3(runbook):
    return runbook.run("--only", "36", **place(runbook))["36"]


def place(runbook):
    """The lab's S3 as the instances reach it, which is where the tiles come from, too."""
    return {"s3_endpoint_url": runbook.given["tiles_url"].rpartition("/")[0]}


def failed(runbook, number, **given):
    runbook.run("--only", number, code=1, **given)
    return runbook.output


def refuse(live, action, keys):
    """
    Let S3 refuse this to everybody, by a policy of the bucket, which it usually has not.
    """
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": f"{live.bucket.arn}/{keys}",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    live.s3.put_bucket_policy(Bucket=live.bucket.name, Policy=policy)


def cluster(runbook):
    """The manager, its Swarm, and S3 as the administrator of the lab."""
    place = runbook.place
    name = runbook.given["cluster"]
    instance = instances.get_instances(place.client("ec2"), name)["manager"]
    connection = ssh.connect(instance, str(runbook.given["key_file"]))
    session = botocore.session.Session(profile="administrator")
    session.set_config_variable("credentials_file", place.credentials_file)
    leader = docker_ssh.docker_client(connection)
    return SimpleNamespace(
        instance=instance,
        manager=connection,
        leader=leader,
        bucket=tiles_bucket.bucket_of(place.client("sts"), name, "us-east-1"),
        s3=session.create_client("s3", region_name="us-east-1", endpoint_url=place.endpoint_url),
        before={
            user.name: user.attrs["Spec"]["Mode"]["Replicated"]["Replicas"]
            for user in find_users(leader, tiles.VOLUME)
        },
    )


def written_by_a_container(live):
    """A command that writes results through the volume, as the services' user and by their code."""
    (updater,) = [u for u in find_users(live.leader, tiles.VOLUME) if u.name.endswith("updater")]
    image = updater.attrs["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
    options = "--rm --user 1000:1000 --network none --read-only --entrypoint python"
    volume = f"--volume {tiles.VOLUME}:/tiles"
    return f"docker run {options} {volume} {image} -c {shlex.quote(WRITE)} {COUNT}"


def keys(live, prefix):
    pages = live.s3.get_paginator("list_objects_v2").paginate(
        Bucket=live.bucket.name, Prefix=prefix
    )
    return [one["Key"] for page in pages for one in page.get("Contents", [])]


def count(connection):
    """The tiles and results by folder."""
    script = (
        "cd /srv/tiles && for d in [A-Z]*; do echo $d $(find $d -name '[!.]*.png' | wc -l); done"
    )
    return dict(line.split() for line in ssh.run(connection, script, sudo=True).splitlines())


def is_gone(connection, path):
    said = ssh.run(connection, f"[ -e {path} ] && echo there || true", sudo=True)
    return Pending("it is there") if said.strip() else True


def until_it_serves(live, timeout_s=120):
    """The containers that held the dead mount are others now, and the tile server answers."""

    def probe():
        try:
            answer = requests.get(f"http://{live.instance.public_ip}:5000/health", timeout=2)
            names = [u.name for u in find_users(live.leader, tiles.VOLUME)]
            short = [
                n for n in names if volume_users.running_tasks(live.leader, n) < live.before[n]
            ]
            listed = ssh.run(
                live.manager,
                "for c in $(docker ps --quiet --filter volume=tiles-data); do "
                "docker exec $c ls /tiles >/dev/null || echo $c; done",
                sudo=True,
            )
        except (requests.RequestException, OSError) as error:
            return Pending(type(error).__name__)
        done = answer.status_code == 200 and not short and not listed.strip()
        return done or Pending(f"{answer.status_code}, {short}, {listed}")

    return wait_for("The services find the mount again", probe, timeout_s=timeout_s)
