"""
What the runbook relies on in the lab's EC2, and the gate for another version of moto.

Two instances serve most tests; a test that changes something puts it back.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import boto3
import docker
import paramiko
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from lab.core.config import LabConfig
from lab.engine import docker_engine, network
from lab.engine.dockerd import Daemon
from lab.images import build

pytestmark = pytest.mark.lab

NAME, PORT, SUBNET = "contract", 5588, "10.213.0.0/16"
IMAGE = LabConfig.instance_image
UBUNTU = "/aws/service/canonical/ubuntu/server/{}/stable/current/amd64/hvm/ebs-gp{}/ami-id"
WAIT = {"Delay": 1, "MaxAttempts": 60}
USER_DATA = "#!/bin/sh\necho run by $(id -un) >>/var/tmp/user-data; echo user data was here\n"
LISTEN = """\
import socket
server = socket.create_server(("", 8080))
while True:
    server.accept()[0].close()
"""
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": ["ec2:Describe*", "pricing:GetProducts"], "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": "ec2:RunInstances",
            "Resource": "arn:aws:ec2:*:*:instance/*",
            "Condition": {
                "StringEquals": {"aws:RequestTag/project": "tiles"},
                "StringLike": {"ec2:InstanceType": "t2.*"},
            },
        },
        {
            "Effect": "Allow",
            "Action": "ec2:RunInstances",
            "Resource": [
                f"arn:aws:ec2:*:*:{kind}/*"
                for kind in ("volume", "network-interface", "security-group", "subnet", "key-pair")
            ]
            + ["arn:aws:ec2:*::image/*"],
        },
        {
            "Effect": "Allow",
            "Action": "ec2:CreateTags",
            "Resource": "*",
            "Condition": {"StringEquals": {"ec2:CreateAction": "RunInstances"}},
        },
        {
            "Effect": "Allow",
            "Action": "ec2:StopInstances",
            "Resource": "*",
            "Condition": {"StringEquals": {"ec2:ResourceTag/project": "tiles"}},
        },
        {
            "Effect": "Allow",
            "Action": "ssm:GetParameter",
            "Resource": "arn:aws:ssm:*::parameter/aws/service/canonical/*",
        },
    ],
}


class Lab:
    """
    A lab of its own in a process of its own, whose home is a temporary folder.
    """

    def __init__(self, home: Path, config: LabConfig, engine: docker.DockerClient) -> None:
        self.home = home
        self.engine = engine
        policy = home / "policy.json"
        policy.write_text(json.dumps(POLICY))
        self.config = replace(config, operator_policies=(str(policy),))
        self.url = config.endpoint_url
        self.gateway_url = config.guest_endpoint_url
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        code = (
            "import logging; logging.basicConfig(level='INFO')\n"
            "from lab.core.config import LabConfig; from lab.aws.server import serve\n"
            f"serve({self.config!r})"
        )
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code],
                env={**os.environ, "HOME": str(self.home)},
                stdout=log,
                stderr=log,
            )
        until(self.is_ready, "the lab answers", timeout_s=60)

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.home / "log").read_text()
        try:
            with urllib.request.urlopen(f"{self.url}/lab/health") as answer:
                return bool(json.load(answer)["ready"])
        except urllib.error.URLError:
            return False

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(30)

    def client(self, service: str, profile: str = "administrator"):
        session = boto3.Session()
        credentials = self.home / f".cache/geo-diff-runbook/labs/{NAME}/credentials"
        keys = dict(re.findall(r"\[(\w+)\]\n(.+\n.+)\n", credentials.read_text()))[profile]
        key_id, secret = (line.partition(" = ")[2] for line in keys.splitlines())
        return session.client(
            service,
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            config=Config(retries={"max_attempts": 0}),
        )


@dataclass
class Guest:
    """
    An instance, and a way in.
    """

    id: str
    key: paramiko.PKey
    lab: Lab
    _session: paramiko.SSHClient | None = None

    @property
    def facts(self) -> dict:
        answer = self.lab.client("ec2").describe_instances(InstanceIds=[self.id])
        return answer["Reservations"][0]["Instances"][0]

    @property
    def private(self) -> str:
        return self.facts["PrivateIpAddress"]

    @property
    def public(self) -> str:
        return self.facts["PublicIpAddress"]

    def run(self, command: str) -> str:
        if self._session is None:
            self._session = self.connect()
        try:
            return output_of(self._session, command)
        except (EOFError, OSError, paramiko.SSHException):  # it has rebooted since
            self._session = self.connect()
            return output_of(self._session, command)

    def connect(self) -> paramiko.SSHClient:
        client = paramiko.SSHClient()
        address = self.public
        for kind, data in host_keys(self.lab, self.id):
            key = paramiko.PKey.from_type_string(kind, base64.b64decode(data))
            client.get_host_keys().add(address, kind, key)
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        client.connect(
            address,
            username="ubuntu",
            pkey=self.key,
            timeout=5,
            allow_agent=False,
            look_for_keys=False,
        )
        return client

    def boot_time(self) -> int:
        """When its first process started; 0 while there is no answer."""
        try:
            return int(self.run("cut -d' ' -f22 /proc/1/stat"))
        except (OSError, EOFError, ValueError, paramiko.SSHException):
            return 0

    def reaches(self, address: str) -> bool:
        probe = f"import socket; socket.create_connection(('{address}', 8080), 1)"
        return "Error" not in self.run(f'python3 -c "{probe}"')


def output_of(session: paramiko.SSHClient, command: str) -> str:
    _, out, err = session.exec_command(command, timeout=30)
    return (out.read() + err.read()).decode().strip()


def host_keys(lab: Lab, instance_id: str) -> list[tuple[str, str]]:
    output = lab.client("ec2").get_console_output(InstanceId=instance_id, Latest=True)["Output"]
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    begin, end = (f"-----{word} SSH HOST KEY KEYS-----" for word in ("BEGIN", "END"))
    block = plain.rpartition(begin)[2].partition(end)[0]
    return re.findall(r"(ssh-\S+|ecdsa-\S+) (AAAA\S+)", block)


def until(condition, what: str, timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.1)


def is_open(address: str, port: int = 8080) -> bool:
    try:
        socket.create_connection((address, port), 1).close()
    except TimeoutError:  # dropped, as AWS does, and not refused
        return False
    return True


def rule(port: int, *, protocol: str = "tcp", cidr: str = "", group: str = "") -> list[dict]:
    found = {"IpProtocol": protocol, "FromPort": port, "ToPort": port}
    if cidr:
        found["IpRanges"] = [{"CidrIp": cidr}]
    if group:
        found["UserIdGroupPairs"] = [{"GroupId": group}]
    return [found]


def code_of(call, **arguments) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"]


def fetch(url: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[Lab]:
    engine = docker_engine.ensure_engine(Daemon())
    client = engine.client()
    build.ensure_instance(build.Builder(client, LabConfig().cache_dir / "images"), IMAGE)
    config = LabConfig(name=NAME, port=PORT, subnet=SUBNET, docker_host=engine.host)

    def containers():
        return client.containers.list(all=True, filters={"label": config.label})

    for left_over in containers():
        left_over.remove(force=True, v=True)
    network.ensure_network(client, config)
    lab = Lab(tmp_path_factory.mktemp("home"), config, client)
    try:
        lab.start()
        yield lab
    finally:
        lab.stop()
        for container in containers():
            container.remove(force=True, v=True)
        client.networks.get(config.network).remove()
        client.close()


@pytest.fixture(scope="module")
def ec2(lab):
    return lab.client("ec2")


@pytest.fixture(scope="module")
def me(lab) -> str:
    return fetch(f"{lab.url}/checkip")[1].decode().strip() + "/32"


@pytest.fixture(scope="module")
def groups(ec2, me) -> dict[str, str]:
    ids = {}
    for name in ("web", "db"):
        ids[name] = ec2.create_security_group(GroupName=name, Description=name)["GroupId"]
        ec2.authorize_security_group_ingress(GroupId=ids[name], IpPermissions=rule(22, cidr=me))
    return ids


@pytest.fixture(scope="module")
def image(lab) -> str:
    parameter = lab.client("ssm").get_parameter(Name=UBUNTU.format("24.04", 3))
    return parameter["Parameter"]["Value"]


@pytest.fixture(scope="module")
def key(ec2) -> paramiko.PKey:
    material = ec2.create_key_pair(KeyName="k", KeyType="ed25519")["KeyMaterial"]
    return paramiko.Ed25519Key.from_private_key(io.StringIO(material))


@pytest.fixture(scope="module")
def launch(ec2, image):
    def run(**overrides):
        wanted = {
            "ImageId": image,
            "InstanceType": "t2.micro",
            "MinCount": 1,
            "MaxCount": 1,
            "KeyName": "k",
            "MetadataOptions": {"HttpTokens": "required"},
        }
        return ec2.run_instances(**{**wanted, **overrides})["Instances"]

    return run


@pytest.fixture(scope="module")
def pair(lab, ec2, launch, key, groups) -> tuple[Guest, Guest]:
    """
    A guest in group web and one in group db, both listening on 8080.
    """
    ids = []
    for name in ("web", "db"):
        tags = [{"Key": "Name", "Value": name}]
        (instance,) = launch(
            SecurityGroupIds=[groups[name]],
            UserData=USER_DATA,
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": tags},
                {"ResourceType": "volume", "Tags": tags},
            ],
            BlockDeviceMappings=[
                {
                    "DeviceName": "/dev/sda1",
                    "Ebs": {"VolumeSize": 20, "VolumeType": "gp3", "Encrypted": True},
                }
            ],
        )
        assert instance["State"]["Name"] == "pending"
        ids.append(instance["InstanceId"])
    ec2.get_waiter("instance_status_ok").wait(InstanceIds=ids, WaiterConfig=WAIT)
    web, db = (Guest(one, key, lab) for one in ids)
    for guest in (web, db):
        listen(guest)
    return web, db


def listen(guest: Guest) -> None:
    guest.run(f"echo '{LISTEN}' >/var/tmp/listen.py")
    guest.run("setsid python3 /var/tmp/listen.py >/dev/null 2>&1 </dev/null &")
    until(lambda: ":8080" in guest.run("ss -ltn"), "the guest listens")


def test_each_ubuntu_release_has_an_image_that_its_parameters_name(lab, ec2):
    """All three LTS releases, for both disk types, as Canonical publishes them."""
    ssm = lab.client("ssm")
    for release in ("20.04", "22.04", "24.04"):
        for disk in (2, 3):
            name = UBUNTU.format(release, disk)
            image_id = ssm.get_parameter(Name=name)["Parameter"]["Value"]
            (found,) = ec2.describe_images(ImageIds=[image_id])["Images"]
            assert f"-{release}-amd64-server" in found["Name"]
    (newest,) = ec2.describe_images(
        Owners=["099720109477"],
        Filters=[{"Name": "name", "Values": ["ubuntu/images/*noble-24.04-amd64-server-*"]}],
    )["Images"]
    assert newest["State"] == "available"


def test_an_instance_is_described_as_it_was_asked_for(pair, ec2, groups):
    """Addresses of the default subnet and of the pool, tags, groups, and its disk."""
    web, _ = pair
    facts = web.facts
    assert facts["State"]["Name"] == "running"
    assert facts["PrivateIpAddress"].startswith("10.213.0.")
    assert facts["PublicIpAddress"].startswith("10.213.128.")
    assert facts["PublicDnsName"] == facts["PublicIpAddress"]
    assert facts["Tags"] == [{"Key": "Name", "Value": "web"}]
    assert facts["SecurityGroups"] == [{"GroupId": groups["web"], "GroupName": "web"}]
    (disk,) = ec2.describe_volumes(
        Filters=[{"Name": "attachment.instance-id", "Values": [web.id]}]
    )["Volumes"]
    assert (disk["Size"], disk["VolumeType"], disk["Encrypted"]) == (20, "gp3", True)
    assert disk["Tags"] == [{"Key": "Name", "Value": "web"}]


def test_ssh_trusts_the_keys_of_the_console(pair, lab):
    """Each instance has host keys of its own, and its console shows them."""
    web, db = pair
    assert web.run("hostname") == "ip-" + web.private.replace(".", "-")
    assert web.run("sudo id -un") == "root"
    kinds = {kind for kind, _ in host_keys(lab, web.id)}
    assert kinds == {"ecdsa-sha2-nistp256", "ssh-ed25519", "ssh-rsa"}
    assert set(host_keys(lab, web.id)).isdisjoint(host_keys(lab, db.id))


def test_the_guest_sees_a_plain_card_and_no_rules_of_the_cloud(pair):
    """One interface with the private address; it may flush its own rules as it likes."""
    web, db = pair
    assert web.run("hostname -I") == web.private
    assert web.run("sudo nft list ruleset") == ""
    web.run("sudo nft flush ruleset")
    assert not is_open(web.public)
    assert db.run(f"getent hosts {web.facts['PrivateDnsName']}").startswith(web.private)


def test_limits_are_those_of_the_instance_type(pair, lab):
    """t2.micro: 1 GiB, one vCPU."""
    web, _ = pair
    host_config = lab.engine.api.inspect_container(f"lab-{NAME}-{web.id}")["HostConfig"]
    assert (host_config["Memory"], host_config["NanoCpus"]) == (2**30, 10**9)


def test_user_data_ran_once_as_root(pair):
    """And `cloud-init status --wait` waits for it."""
    web, _ = pair
    assert "status: done" in web.run("cloud-init status --wait")
    assert web.run("cat /var/tmp/user-data") == "run by root"
    assert web.run("cat /var/log/cloud-init-output.log") == "user data was here"


def test_metadata_requires_a_token_when_the_instance_does(pair):
    """IMDSv2: 401 without a token, values with one, a listing of each folder."""
    web, _ = pair
    base = "http://169.254.169.254/latest"
    status = f"curl -s -o /dev/null -w %{{http_code}} {base}/meta-data/instance-id"
    assert web.run(status) == "401"
    header = '-H "X-aws-ec2-metadata-token-ttl-seconds: 60"'
    token = web.run(f"curl -s -X PUT {base}/api/token {header}")
    get = f'curl -s -H "X-aws-ec2-metadata-token: {token}" {base}'
    assert web.run(f"{get}/meta-data/instance-id") == web.id
    assert web.run(f"{get}/meta-data/public-ipv4") == web.public
    assert "placement/" in web.run(f"{get}/meta-data/")
    assert web.run(f"{get}/user-data") == USER_DATA.strip()


def test_metadata_is_not_at_the_hosts_own_address(pair, lab):
    """There, neither the instance's options nor the hop limit would hold."""
    web, _ = pair
    host = lab.config.gateway
    status = "curl -s -m 3 -o /dev/null -w %{http_code} http://"
    assert web.run(f"{status}{host}:{lab.config.metadata_port}/latest/ || true") == "000"
    # what is asked there is a key of the bucket `latest`: S3 refuses a stranger
    assert web.run(f"{status}{host}:{lab.config.port}/latest/meta-data/instance-id") == "403"
    assert web.run(f"{status}169.254.169.254/latest/meta-data/instance-id") == "401"


def test_nothing_is_open_without_a_rule(pair):
    """From the operator and between instances, by private and public address."""
    web, db = pair
    assert not any(is_open(address) for address in (web.public, web.private, db.public))
    assert not any(web.reaches(address) for address in (db.private, db.public))


def test_a_rule_for_a_group_opens_for_its_members_private_addresses(pair, ec2, groups):
    """And for no other address; through the public address it does not match, as on AWS."""
    web, db = pair
    rules = rule(8080, group=groups["web"])
    ec2.authorize_security_group_ingress(GroupId=groups["db"], IpPermissions=rules)
    assert web.reaches(db.private)
    assert not web.reaches(db.public)
    assert not db.reaches(web.private)
    assert not is_open(db.public)
    assert code_of(ec2.delete_security_group, GroupId=groups["web"]) == "DependencyViolation"
    ec2.revoke_security_group_ingress(GroupId=groups["db"], IpPermissions=rules)
    assert not web.reaches(db.private)


def test_a_rule_for_an_address_opens_for_it_when_the_call_returns(pair, ec2, groups, me):
    """Authorize and revoke are in force at once, and take less than a second."""
    web, db = pair
    begin = time.monotonic()
    ec2.authorize_security_group_ingress(GroupId=groups["web"], IpPermissions=rule(8080, cidr=me))
    assert time.monotonic() - begin < 1
    assert is_open(web.public)
    assert not db.reaches(web.public)
    ec2.revoke_security_group_ingress(GroupId=groups["web"], IpPermissions=rule(8080, cidr=me))
    assert not is_open(web.public)


def test_the_same_rule_twice_is_a_duplicate(pair, ec2, groups, me):
    """The code that idempotent callers look for."""
    arguments = {"GroupId": groups["web"], "IpPermissions": rule(22, cidr=me)}
    code = code_of(ec2.authorize_security_group_ingress, **arguments)
    assert code == "InvalidPermission.Duplicate"


def test_changing_membership_changes_every_rule_that_names_the_group(pair, ec2, groups):
    """The rules of others, and what Describe shows."""
    web, db = pair
    rules = rule(8080, group=groups["web"])
    ec2.authorize_security_group_ingress(GroupId=groups["db"], IpPermissions=rules)
    assert web.reaches(db.private)
    ec2.modify_instance_attribute(InstanceId=web.id, Groups=[groups["db"]])
    assert not web.reaches(db.private)
    assert web.facts["SecurityGroups"] == [{"GroupId": groups["db"], "GroupName": "db"}]
    ec2.modify_instance_attribute(InstanceId=web.id, Groups=[groups["web"]])
    ec2.revoke_security_group_ingress(GroupId=groups["db"], IpPermissions=rules)


def test_egress_is_limited_too_and_sessions_stay(pair, ec2, groups, me):
    """Without egress a guest opens no connection, but answers; rules are stateful."""
    web, db = pair
    all_out = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    rules = rule(8080, group=groups["web"])
    ec2.authorize_security_group_ingress(GroupId=groups["db"], IpPermissions=rules)
    ec2.revoke_security_group_egress(GroupId=groups["web"], IpPermissions=all_out)
    assert not web.reaches(db.private)
    ec2.authorize_security_group_egress(GroupId=groups["web"], IpPermissions=all_out)
    assert web.reaches(db.private)
    ec2.revoke_security_group_ingress(GroupId=groups["db"], IpPermissions=rules)


def test_the_default_group_lets_its_members_talk(ec2):
    """As on AWS: one ingress rule, from itself. It cannot be deleted."""
    (group,) = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"]
    (permission,) = group["IpPermissions"]
    assert permission["IpProtocol"] == "-1"
    assert permission["UserIdGroupPairs"][0]["GroupId"] == group["GroupId"]
    assert code_of(ec2.delete_security_group, GroupId=group["GroupId"]) == "CannotDelete"


def test_a_group_in_use_cannot_be_deleted(pair, ec2, groups):
    """Neither by its instances nor while another group's rule names it."""
    assert code_of(ec2.delete_security_group, GroupId=groups["web"]) == "DependencyViolation"
    spare = ec2.create_security_group(GroupName="spare", Description="spare")["GroupId"]
    ec2.delete_security_group(GroupId=spare)
    assert code_of(ec2.delete_security_group, GroupId=spare) == "InvalidGroup.NotFound"


@pytest.mark.parametrize(
    ("override", "code"),
    [
        ({"ImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound"),
        ({"InstanceType": "t9.huge"}, "InvalidParameterValue"),
        ({"KeyName": "nobody"}, "InvalidKeyPair.NotFound"),
        ({"SecurityGroupIds": ["sg-0123456789abcdef0"]}, "InvalidGroup.NotFound"),
        ({"DryRun": True}, "DryRunOperation"),
    ],
)
def test_run_instances_refuses_with_the_codes_of_aws(launch, key, override, code):
    """So that a caller's error handling is rehearsed too."""
    assert code_of(launch, **override) == code


def test_an_unknown_instance_type_is_refused_by_describe(ec2):
    """With a code of its own, unlike RunInstances."""
    code = code_of(ec2.describe_instance_types, InstanceTypes=["t9.huge"])
    assert code == "InvalidInstanceType"
    (kind,) = ec2.describe_instance_types(InstanceTypes=["t2.micro"])["InstanceTypes"]
    assert (kind["VCpuInfo"]["DefaultVCpus"], kind["MemoryInfo"]["SizeInMiB"]) == (1, 1024)
    offered = ec2.describe_instance_type_offerings(
        Filters=[{"Name": "instance-type", "Values": ["t2.micro"]}]
    )["InstanceTypeOfferings"]
    assert [one["Location"] for one in offered] == ["us-east-1"]


def test_calls_that_moto_lacks_are_refused_in_ec2s_own_words(pair, ec2):
    """boto3 can parse them, and does not retry."""
    assert code_of(ec2.monitor_instances, InstanceIds=[pair[0].id]) == "InvalidAction"


def test_key_pairs_are_made_imported_and_deleted(ec2):
    """Both kinds; a name is taken only once."""
    rsa = ec2.create_key_pair(KeyName="rsa", KeyType="rsa")
    assert rsa["KeyMaterial"].startswith("-----BEGIN RSA PRIVATE KEY-----")
    assert code_of(ec2.create_key_pair, KeyName="rsa") == "InvalidKeyPair.Duplicate"
    for name, made in (("mine", paramiko.RSAKey.generate(2048)), ("ed", None)):
        text = f"{made.get_name()} {made.get_base64()}" if made else ED25519
        ec2.import_key_pair(KeyName=name, PublicKeyMaterial=text.encode())
    found = ec2.describe_key_pairs(KeyNames=["mine", "ed"])["KeyPairs"]
    assert {one["KeyName"]: one["KeyType"] for one in found} == {"mine": "rsa", "ed": "ed25519"}
    for name in ("rsa", "mine", "ed", "ed"):  # deleting twice is no error
        ec2.delete_key_pair(KeyName=name)
    assert code_of(ec2.describe_key_pairs, KeyNames=["mine"]) == "InvalidKeyPair.NotFound"


ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB44JEaBIK+xGEdTyxGoC6SJ0GYBqI5hBq0nONdMjyNm x"


def test_a_client_token_launches_once(ec2, launch, key):
    """The same token and parameters: the same instances. Other parameters: a mismatch."""
    (first,) = launch(ClientToken="once")
    (again,) = launch(ClientToken="once")
    assert first["InstanceId"] == again["InstanceId"]
    code = code_of(launch, ClientToken="once", InstanceType="t2.nano")
    assert code == "IdempotentParameterMismatch"
    ec2.terminate_instances(InstanceIds=[first["InstanceId"]])


def test_max_count_is_launched_and_a_terminated_address_is_free_again(ec2, launch, key):
    """AWS launches as many as it can of MaxCount."""
    made = launch(MinCount=1, MaxCount=2)
    ids = [one["InstanceId"] for one in made]
    assert len(ids) == 2
    ec2.terminate_instances(InstanceIds=ids)
    ec2.get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig=WAIT)
    (third,) = launch()
    assert third["PrivateIpAddress"] <= max(one["PrivateIpAddress"] for one in made)
    ec2.terminate_instances(InstanceIds=[third["InstanceId"]])
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[third["InstanceId"]], WaiterConfig=WAIT)
    code = code_of(ec2.start_instances, InstanceIds=ids)
    assert code == "IncorrectInstanceState"


def test_stop_and_start_keep_the_disk_and_the_private_address(pair, ec2, lab):
    """The public address is released meanwhile; host keys stay; user data does not run again."""
    web, _ = pair
    before = (web.private, host_keys(lab, web.id))
    ec2.stop_instances(InstanceIds=[web.id])
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[web.id], WaiterConfig=WAIT)
    assert "PublicIpAddress" not in web.facts
    ec2.start_instances(InstanceIds=[web.id])
    ec2.get_waiter("instance_status_ok").wait(InstanceIds=[web.id], WaiterConfig=WAIT)
    assert (web.private, host_keys(lab, web.id)) == before
    assert web.run("cat /var/tmp/user-data") == "run by root"
    listen(web)


def test_reboot_by_the_api_and_by_the_guest_end_in_a_guarded_instance(pair, ec2):
    """Both start another first process; the rules are in force afterwards."""
    web, _ = pair
    seen = [web.boot_time()]
    ec2.reboot_instances(InstanceIds=[web.id])
    ec2.get_waiter("instance_status_ok").wait(InstanceIds=[web.id], WaiterConfig=WAIT)
    seen.append(web.boot_time())
    assert seen[0] < seen[1]
    web.run("sudo systemctl reboot")
    until(lambda: web.boot_time() > seen[1], "the instance has rebooted")
    ec2.get_waiter("instance_status_ok").wait(InstanceIds=[web.id], WaiterConfig=WAIT)
    listen(web)
    assert not is_open(web.public)


def test_a_guest_that_powers_off_is_stopped(pair, ec2):
    """With the reason that AWS gives."""
    web, _ = pair
    web.run("sudo systemctl poweroff")
    until(lambda: web.facts["State"]["Name"] == "stopped", "the instance is stopped")
    assert web.facts["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    ec2.start_instances(InstanceIds=[web.id])
    ec2.get_waiter("instance_status_ok").wait(InstanceIds=[web.id], WaiterConfig=WAIT)
    listen(web)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_of_the_lab_keeps_everything(pair, lab, ec2, groups, me, number):
    """Instances, groups, keys, addresses, and the operator's credentials."""
    web, db = pair
    before = (web.facts, db.facts)
    lab.stop(number)
    assert is_open(before[0]["PublicIpAddress"], 22)
    lab.start()
    assert (web.facts, db.facts) == before
    ec2.get_waiter("instance_status_ok").wait(InstanceIds=[web.id, db.id], WaiterConfig=WAIT)
    ec2.authorize_security_group_ingress(GroupId=groups["web"], IpPermissions=rule(8080, cidr=me))
    assert is_open(web.public)
    ec2.revoke_security_group_ingress(GroupId=groups["web"], IpPermissions=rule(8080, cidr=me))
    assert not is_open(web.public)


def test_public_objects_need_no_signature_and_private_ones_do(lab, pair):
    """And ranges work, so that a broken download resumes; from the host and from a guest."""
    s3 = lab.client("s3")
    for bucket in ("open", "closed"):
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="a/part.z01", Body=b"0123456789")
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::open/*",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    s3.put_bucket_policy(Bucket="open", Policy=json.dumps(policy))
    url = f"{lab.gateway_url}/open/a/part.z01"
    assert fetch(url) == (200, b"0123456789")
    assert fetch(url, method="HEAD")[0] == 200
    assert fetch(url, Range="bytes=4-") == (206, b"456789")
    assert pair[0].run(f"printf 0123 >x; curl -s -C - -o x {url}; cat x") == "0123456789"
    assert fetch(f"{lab.gateway_url}/closed/a/part.z01")[0] == 403
    assert fetch(url, method="DELETE")[0] == 403
    assert fetch(f"{lab.url}/open/a/part.z01") == (200, b"0123456789")


def metadata(guest, path: str = "") -> str:
    base = "http://169.254.169.254/latest"
    token = f"$(curl -sX PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' {base}/api/token)"
    return guest.run(f'curl -s -H "X-aws-ec2-metadata-token: {token}" {base}/meta-data/{path}')


def test_an_instance_reaches_the_bucket_that_names_its_role_and_no_other(lab, pair):
    """Keys from the metadata service, which are worth nothing once the role is taken away."""
    web, db = pair
    s3, iam, ec2 = (lab.client(service) for service in ("s3", "iam", "ec2"))
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}}
    trust |= {"Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    iam.create_instance_profile(InstanceProfileName="reader")
    iam.add_role_to_instance_profile(InstanceProfileName="reader", RoleName="reader")
    for bucket in ("mine", "theirs"):
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="tile.png", Body=b"pixels")
    right = {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "s3:GetObject"}
    right |= {"Resource": "arn:aws:s3:::mine/*"}
    no_one = {"Effect": "Deny", "Principal": "*", "Action": "s3:*"}
    no_one |= {"Resource": "arn:aws:s3:::mine/*"}
    no_one |= {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}  # no such key in the lab
    policy = {"Version": "2012-10-17", "Statement": [right, no_one]}
    s3.put_bucket_policy(Bucket="mine", Policy=json.dumps(policy))
    made = ec2.associate_iam_instance_profile(
        IamInstanceProfile={"Name": "reader"}, InstanceId=web.id
    )
    keys = json.loads(metadata(web, "iam/security-credentials/reader"))

    def as_role():
        return boto3.Session().client(
            "s3",
            region_name="us-east-1",
            endpoint_url=lab.gateway_url,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["Token"],
            config=Config(retries={"max_attempts": 0}),
        )

    def refusal(act, **arguments):
        with pytest.raises(ClientError) as caught:
            act(**arguments)
        return caught.value.response["ResponseMetadata"]["HTTPStatusCode"]

    assert as_role().get_object(Bucket="mine", Key="tile.png")["Body"].read() == b"pixels"
    assert refusal(as_role().get_object, Bucket="theirs", Key="tile.png") == 403
    assert refusal(as_role().put_object, Bucket="mine", Key="new", Body=b"") == 403
    assert refusal(as_role().delete_object, Bucket="mine", Key="tile.png") == 403
    assert fetch(f"{lab.gateway_url}/mine/tile.png")[0] == 403
    assert "iam/" not in metadata(db).split("\n")
    association = made["IamInstanceProfileAssociation"]["AssociationId"]
    ec2.disassociate_iam_instance_profile(AssociationId=association)
    assert "iam/" not in metadata(web).split("\n")
    iam.remove_role_from_instance_profile(InstanceProfileName="reader", RoleName="reader")
    iam.delete_role(RoleName="reader")
    assert refusal(as_role().get_object, Bucket="mine", Key="tile.png") == 403


def test_a_guest_cannot_call_the_api(pair, lab):
    """Neither without credentials nor with them: its door has no API."""
    web, _ = pair
    post = f"curl -s -o /dev/null -w %{{http_code}} -d Action=DescribeInstances {lab.gateway_url}/"
    assert web.run(post) == "403"
    assert fetch(f"{lab.url}/moto-api/reset", method="POST")[0] == 403
    assert fetch(f"{lab.gateway_url}/ec2_us-east-1/?Action=DescribeInstances")[0] == 403


def test_prices_and_quotas_are_answered(lab):
    """List prices of us-east-1 by the filters that AWS documents; the vCPU quota."""
    filters = {
        "instanceType": "t2.micro",
        "regionCode": "us-east-1",
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    answer = lab.client("pricing").get_products(
        ServiceCode="AmazonEC2",
        Filters=[
            {"Type": "TERM_MATCH", "Field": field, "Value": value}
            for field, value in filters.items()
        ],
    )
    (product,) = map(json.loads, answer["PriceList"])
    (offer,) = product["terms"]["OnDemand"].values()
    (dimension,) = offer["priceDimensions"].values()
    assert dimension["pricePerUnit"] == {"USD": "0.0116000000"}
    quota = lab.client("service-quotas").get_service_quota(
        ServiceCode="ec2", QuotaCode="L-1216C47A"
    )
    assert quota["Quota"]["Value"] == 32


def test_the_operator_may_do_what_the_policy_says_and_no_more(lab, pair, image):
    """Resources, conditions and tags on create count; so do services that moto lacks."""
    ec2 = lab.client("ec2", "default")
    assert lab.client("sts", "default").get_caller_identity()["Arn"].endswith(":user/operator")
    wanted = {"ImageId": image, "InstanceType": "t2.micro", "MinCount": 1, "MaxCount": 1}
    tagged = {
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": [{"Key": "project", "Value": "tiles"}]}
        ]
    }
    assert ec2.describe_instances()["Reservations"]
    lab.client("ssm", "default").get_parameter(Name=UBUNTU.format("24.04", 3))
    lab.client("pricing", "default").get_products(ServiceCode="AmazonEC2")
    allowed = {**wanted, **tagged, "DryRun": True}
    assert code_of(ec2.run_instances, **allowed) == "DryRunOperation"
    for refused in (
        {**wanted, "DryRun": True},
        {**allowed, "InstanceType": "m5.large"},
    ):
        assert code_of(ec2.run_instances, **refused) == "UnauthorizedOperation"
    code = code_of(ec2.stop_instances, InstanceIds=[pair[0].id])
    assert code == "UnauthorizedOperation"
    quotas = lab.client("service-quotas", "default")
    code = code_of(quotas.get_service_quota, ServiceCode="ec2", QuotaCode="L-1216C47A")
    assert code == "AccessDeniedException"
    code = code_of(lab.client("s3", "default").list_buckets)
    assert code == "AccessDenied"
    code = code_of(lab.client("ssm", "default").get_parameter, Name="/mine")
    assert code == "AccessDeniedException"


def test_a_wrong_secret_is_an_authentication_failure(lab):
    """Signatures are verified."""
    ec2 = boto3.client(
        "ec2",
        region_name="us-east-1",
        endpoint_url=lab.url,
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="wrong",
    )
    assert code_of(ec2.describe_instances) == "AuthFailure"


def test_many_callers_at_once_get_along(ec2, groups, me):
    """Moto is not made for threads; the lab is."""

    def work(number: int) -> None:
        name = f"many-{number}"
        group = ec2.create_security_group(GroupName=name, Description=name)["GroupId"]
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rule(80, cidr=me))
        ec2.describe_security_groups(GroupIds=[group])
        ec2.delete_security_group(GroupId=group)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))


def test_termination_removes_the_machines_and_frees_the_groups(pair, lab, ec2, groups):
    """The last test: nothing of the instances is left but their records."""
    ids = [guest.id for guest in pair]
    ec2.terminate_instances(InstanceIds=ids)
    ec2.get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig=WAIT)
    left = lab.engine.containers.list(all=True, filters={"label": [f"lab={NAME}", "lab.instance"]})
    assert [container.name for container in left] == []
    assert "PublicIpAddress" not in pair[0].facts
    assert ec2.describe_volumes()["Volumes"] == []
    assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    for group in groups.values():
        ec2.delete_security_group(GroupId=group)
