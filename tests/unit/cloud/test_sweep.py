"""
What is past its expiry is found wherever it is, and nothing else is removed.
"""

import functools
import threading

import pytest

from runbook_lib.__main__ import main
from runbook_lib.cloud import holding, instance_role, lock, sweep, tiles_bucket
from runbook_lib.cloud.aws import Place
from runbook_lib.cloud.key_pairs import ensure_key_pair
from runbook_lib.cloud.security_groups import ensure_groups, get_default_vpc
from runbook_lib.cloud.sweep import find_clusters, remove_past
from runbook_lib.cloud.tags import BY_CLUSTER, EXPIRES_TAG, expires_in, tag_list, tag_specifications
from runbook_lib.core.errors import ConflictError
from tests.fakes.aws import account
from tests.places import ROOT

REGIONS = ("us-east-1", "eu-west-1", "sa-east-1")


@pytest.fixture
def place(tmp_path, monkeypatch):
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = AKIA\naws_secret_access_key = x\n")
    place = Place("us-east-1", "", str(file))
    with account() as client:
        enabled = client("ec2").describe_regions()["Regions"]
        few = {"Regions": [one for one in enabled if one["RegionName"] in REGIONS]}
        making = Place.client

        @functools.cache
        def made(self, service, region=""):
            """AWS lists three regions here: moto has forty, which take half a minute."""
            made = making(self, service, region)
            if service == "ec2":
                monkeypatch.setattr(made, "describe_regions", lambda: few)
            return made

        monkeypatch.setattr(Place, "client", made)
        yield place


def make(place, tmp_path, cluster, region, hours):
    """A cluster as 01, 02 and 31 make it, which ends in some hours, or did."""
    ec2 = place.client("ec2", region)
    ends = {EXPIRES_TAG: expires_in(hours)}
    tags = tag_specifications(tag_list(cluster, "manager", **ends), "instance", "volume")
    disk = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8, "DeleteOnTermination": True}}
    ec2.run_instances(
        ImageId="ami-12c6146b",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=tags,
        BlockDeviceMappings=[disk],
    )
    ensure_key_pair(ec2, cluster, str(tmp_path / f"{cluster}-{region}.pem"))
    ensure_groups(ec2, cluster, get_default_vpc(ec2))


def names(inventory):
    return [(one.region, one.cluster) for one in inventory.clusters]


def sweep_command(place):
    command = ["sweep", str(ROOT / "params/aws.yml"), "--notebooks", str(ROOT / "notebooks")]
    return [*command, "-p", f"credentials_file={place.credentials_file}"]


def test_every_region_is_looked_into_and_what_is_past_is_told(place, tmp_path):
    """A cluster ends with its instances, though its groups were made to last three days."""
    make(place, tmp_path, "geo-diff", "eu-west-1", -1)
    make(place, tmp_path, "geo-diff", "us-east-1", 5)
    make(place, tmp_path, "geo-diff-2", "sa-east-1", -100)
    found = find_clusters(place)

    expected = [("eu-west-1", "geo-diff"), ("sa-east-1", "geo-diff-2"), ("us-east-1", "geo-diff")]
    assert expected == names(found)
    assert ["eu-west-1", "sa-east-1"] == [one.region for one in found.past]
    assert "past since" in str(found)
    assert "1 instance, 1 volume, 4 security groups, 1 key pair" in str(found)


def test_a_cluster_of_one_region_is_not_waited_for_in_another(place, tmp_path):
    """Its name is that of another cluster there, and a list that lacks it is whole."""
    make(place, tmp_path, "geo-diff", "eu-west-1", 1)
    elsewhere, asked = place.client("ec2", "us-east-1"), []
    elsewhere.meta.events.register("before-send.ec2.*", lambda **_: asked.append(1))
    mine = [{"Name": BY_CLUSTER, "Values": ["geo-diff"]}]
    assert [] == elsewhere.describe_security_groups(Filters=mine)["SecurityGroups"]
    assert [1] == asked


def test_what_is_past_is_removed_and_nothing_beside_it(place, tmp_path):
    """By the exact name: `*` and a name that begins alike are other clusters."""
    for cluster in ("geo-diff", "geo-diff-2", "*", "geo-dif?"):
        make(place, tmp_path, cluster, "eu-west-1", 5 if cluster == "geo-diff" else -1)
    found = find_clusters(place)
    for one in found.past:
        if one.cluster in ("*", "geo-dif?"):
            remove_past(place, one)
    left = find_clusters(place)

    assert [("eu-west-1", "geo-diff"), ("eu-west-1", "geo-diff-2")] == names(left)
    assert 7 == len(left.clusters[0].resources)


def test_a_cluster_that_was_renewed_meanwhile_stays(place, tmp_path):
    make(place, tmp_path, "geo-diff", "eu-west-1", -1)
    (past,) = find_clusters(place).past
    ids = [one.name for one in past.resources]
    tags = [{"Key": EXPIRES_TAG, "Value": expires_in(9)}]
    place.client("ec2", "eu-west-1").create_tags(Resources=ids, Tags=tags)
    with pytest.raises(ConflictError, match="it was renewed"):
        remove_past(place, past)
    assert 7 == len(find_clusters(place).clusters[0].resources)


def of_another_machine(monkeypatch):
    monkeypatch.setattr(lock, "machine_id", lambda: "elsewhere")
    monkeypatch.setattr(lock, "holder_name", lambda: "alice@laptop pid 7")


def test_a_cluster_that_a_run_works_on_stays_and_the_others_go(
    place, tmp_path, monkeypatch, capsys
):
    """Its holder is named; once the lock has ended, it is swept with the rest."""
    make(place, tmp_path, "geo-diff", "eu-west-1", -1)
    make(place, tmp_path, "another", "us-east-1", -1)
    ec2 = place.client("ec2", "eu-west-1")
    with monkeypatch.context() as there:
        of_another_machine(there)
        theirs = lock.take_lock(ec2, "geo-diff")
    assert 2 == main([*sweep_command(place), "--remove", "--everybody"])
    assert "alice@laptop pid 7 does" in capsys.readouterr().out
    assert [("eu-west-1", "geo-diff")] == names(find_clusters(place))
    assert 8 == len(find_clusters(place).clusters[0].resources)

    tags = [{"Key": EXPIRES_TAG, "Value": expires_in(-1)}]
    ec2.create_tags(Resources=[theirs.group_id], Tags=tags)
    assert 0 == main([*sweep_command(place), "--remove", "--everybody"])
    assert [] == names(find_clusters(place))


def test_a_run_that_takes_the_cluster_over_stops_the_sweep(place, tmp_path, monkeypatch):
    make(place, tmp_path, "geo-diff", "eu-west-1", -1)
    monkeypatch.setattr(holding, "RENEW_S", 0.1)
    removing = sweep.remove_instances

    def taken_over(ec2, cluster):
        changes = removing(ec2, cluster)
        with monkeypatch.context() as there:
            of_another_machine(there)
            lock.take_lock(ec2, cluster, take_over=True)
        for renewer in (one for one in threading.enumerate() if "_renew" in one.name):
            renewer.join(20)
        return changes

    monkeypatch.setattr(sweep, "remove_instances", taken_over)
    (past,) = find_clusters(place).past
    with pytest.raises(ConflictError, match=r"alice@laptop pid 7 has taken(?s:.)*terminated i-"):
        remove_past(place, past)
    kinds = {one.kind for one in find_clusters(place).clusters[0].resources}
    assert {"security group", "key pair", "lock"} == kinds


def test_the_lock_of_a_killed_run_alone_is_swept(place):
    ec2 = place.client("ec2", "eu-west-1")
    left = lock.take_lock(ec2, "geo-diff")
    tags = [{"Key": EXPIRES_TAG, "Value": expires_in(-1)}]
    ec2.create_tags(Resources=[left.group_id], Tags=tags)
    (past,) = find_clusters(place).past
    remove_past(place, past)
    assert [] == names(find_clusters(place))


@pytest.mark.parametrize("value", ["", "never", "2000-01-01", "2000-01-01T00:00:00+00:00"])
def test_what_does_not_say_when_it_ends_is_never_swept(place, value):
    """Nor what an older version made, without the tag."""
    ec2 = place.client("ec2", "eu-west-1")
    tags = tag_specifications(tag_list("geo-diff", "manager", **{EXPIRES_TAG: value}), "instance")
    ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, TagSpecifications=tags)
    found = find_clusters(place)

    assert [] == found.past
    assert "no expiry, never swept" in str(found)


def test_a_bucket_goes_when_it_is_empty_and_its_tiles_are_kept_for_a_person(place):
    s3, iam = place.client("s3"), place.client("iam")
    s3.create_bucket(Bucket="of-somebody-else")
    bucket = tiles_bucket.bucket_of(place.client("sts"), "geo-diff", "us-east-1")
    tiles_bucket.ensure_bucket(s3, bucket)
    past = {EXPIRES_TAG: expires_in(-1)}
    tags = {"TagSet": tag_list("geo-diff", "tiles", **past)}
    s3.put_bucket_tagging(Bucket=bucket.name, Tagging=tags)
    s3.put_object(Bucket=bucket.name, Key="RAW/a.png", Body=b"x")
    (found,) = find_clusters(place).past

    assert [] == remove_past(place, found)
    assert tiles_bucket.exists(s3, bucket)
    s3.delete_object(Bucket=bucket.name, Key="RAW/a.png")
    assert 1 == len(remove_past(place, found))
    assert not tiles_bucket.exists(s3, bucket)
    assert "" == instance_role.find_role(iam, bucket)


def test_a_region_that_does_not_answer_is_named(place, tmp_path, monkeypatch):
    """What it holds may cost money, too."""
    make(place, tmp_path, "geo-diff", "us-east-1", -1)
    making = Place.client

    def made(self, service, region=""):
        made = making(self, service, region)
        if region == "sa-east-1":
            made.meta.events.register("before-send.*", lambda **_: Refusal())
        return made

    monkeypatch.setattr(Place, "client", made)
    found = find_clusters(place)

    assert ["sa-east-1"] == list(found.unknown)
    assert "sa-east-1  not known: expected the right to ec2:DescribeInstances" in str(found)
    assert 1 == len(found.past)


class Refusal:
    """What a service control policy that closes a region lets EC2 answer."""

    status_code, headers = 403, {}
    content = (
        b"<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>You are not "
        b"authorized to perform this operation.</Message></Error></Errors></Response>"
    )


def test_the_command_lists_first_and_removes_only_what_it_is_told(place, tmp_path, capsys):
    """Dry by default; then the file's cluster; then everybody's."""
    make(place, tmp_path, "geo-diff", "eu-west-1", -1)
    make(place, tmp_path, "another", "us-east-1", -1)
    command = sweep_command(place)

    assert 2 == main(command)
    assert 2 == len(find_clusters(place).past)
    assert 2 == main([*command, "--remove"])
    assert [("us-east-1", "another")] == names(find_clusters(place))
    assert 0 == main([*command, "--remove", "--everybody"])
    assert [] == names(find_clusters(place))
    assert "nothing with the runbook's tags" in capsys.readouterr().out
    assert 0 == main(command)
