"""
The whole runbook on the lab, every notebook twice, by itself and under a person's finger.

The tests stand in the order of the steps and build on each other.
"""

import subprocess

import pytest

from runbook_lib.cloud.roles import MANAGER
from runbook_lib.core.checks import SUMMARY_MIME
from runbook_lib.geodiff.browser import fetch
from runbook_lib.hosts import clusters
from runbook_lib.notebook.templates import find_notebooks
from tests.browser.chromium import LAPTOP, PHONE, keep_screenshot
from tests.lab.harness import PROJECT, open_and_paste, until
from tests.lab.jupyterlab import walkthrough

pytestmark = pytest.mark.lab

STEPS = ["00", "01", "02", "03", "04", "05", "06", "07"]
NAMES = [n.name for n in find_notebooks(PROJECT / "notebooks") if n.number in STEPS]


def changed(pages):
    return {number for number, page in pages.items() if page["changes"]}


def test_a_step_out_of_order_names_the_one_to_run_first(runbook):
    for number in ("02", "06", "07"):
        runbook.run("--only", number, code=1)
        assert "next: run 01_instances" in runbook.output


def test_from_nothing_to_the_map_on_the_web(runbook):
    """00 to 07 pass; each step that has an effect says so."""
    pages = runbook.run()

    assert STEPS == list(pages)
    assert {"passed"} == {page["verdict"] for page in pages.values()}
    assert set(STEPS) - {"00"} == changed(pages)


def test_a_person_clicks_through_the_walkthrough(runbook, browser):
    """
    Cell by cell in JupyterLab: no error, no changes, and each drawing and table is there.

    Its kernels have run nothing before: the map of steps in 00 is read from the cluster.
    """
    shown = ""
    with walkthrough(runbook, browser) as person:
        for name in NAMES:
            page = person.open(name)
            cells = person.click_through(page, name)
            keep_screenshot(page, f"jupyterlab {name} end")

            assert [] == [o["evalue"] for c in cells for o in c["outputs"] if "evalue" in o]
            assert [] == [c["id"] for c in cells if c["source"] and not c["execution_count"]]
            assert "no changes" in summary(cells)
            person.to_the_top(page)
            assert page.locator(".jp-RenderedMermaid img").first.is_visible()
            assert page.locator(".jp-RenderedHTMLCommon table").first.is_visible()
            keep_screenshot(page, f"jupyterlab {name}")
            page.close()
            shown = shown or "".join(str(output) for cell in cells for output in cell["outputs"])
        keep_screenshot(person.open(NAMES[0], PHONE, "doc"), "jupyterlab phone")

    assert len(STEPS) - 1 == shown.count("✓ done") // 2  # as text and as HTML
    assert 0 == shown.count("not yet")


@pytest.fixture(scope="module")
def repaired(runbook):
    """The second whole run, after a worker was stopped and a rule was added by hand."""
    ec2 = runbook.ec2()
    worker = instance(ec2, "worker-4")
    ec2.stop_instances(InstanceIds=[worker])
    ec2.get_waiter("instance_stopped").wait(
        InstanceIds=[worker], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    group = ec2.describe_security_groups(
        Filters=[{"Name": "group-name", "Values": [f"{runbook.given['cluster']}-worker"]}]
    )["SecurityGroups"][0]["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group, IpProtocol="tcp", FromPort=3306, ToPort=3306, CidrIp="0.0.0.0/0"
    )
    return runbook.run()


def test_the_second_run_puts_those_two_right_and_says_no_changes_everywhere_else(repaired):
    assert STEPS == list(repaired)
    assert {"01", "02"} == changed(repaired)


def test_the_calls_made_are_recorded_under_their_iam_actions(repaired):
    assert {"ec2:DescribeInstances", "ssm:GetParameter"} <= set(repaired["01"]["calls"])


def test_an_instance_that_was_stopped_is_started_and_its_node_comes_back(repaired):
    """Stopping changes the public address; the pinned host key is still the instance's."""
    assert ["started"] == [c["action"] for c in repaired["01"]["changes"]]
    assert {"passed"} == {page["verdict"] for page in repaired.values()}


def test_a_rule_that_was_added_by_hand_is_revoked(repaired):
    changes = repaired["02"]["changes"]

    assert 1 == len(changes)
    assert "3306" in f"{changes[0]['name']} {changes[0]['action']}"


@pytest.fixture(scope="module")
def handed_out(runbook, repaired):
    """The notes of 07, and what that run printed: it is the last one."""
    return repaired["07"]["notes"], runbook.output


def test_the_end_of_a_run_hands_out_the_address_and_a_command_that_prints_a_token(
    runbook, handed_out
):
    """The page and the tile server answer; the token is in no file of the run."""
    notes, output = handed_out
    page, token = open_and_paste(notes)

    assert f"{notes[0]['what']}:\n  {page}" in output
    assert f"{notes[1]['what']}:\n  {notes[1]['text']}\n\nto stop paying:\n" in output
    assert "--only 90" in output.splitlines()[-1]
    assert "200 text/html" == fetch(page).kind
    files = [file for file in runbook.runs.rglob("*") if file.is_file()]
    assert [] == [file for file in files if token.encode() in file.read_bytes()]


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_the_map_of_the_lab_shows_every_surface_and_outlives_its_tile_server(
    handed_out, browser, size
):
    notes, _ = handed_out
    address, token = open_and_paste(notes)
    seen: list[str] = []
    page = browser.new_page(viewport=size)
    page.on("response", lambda answer: seen.append(f"{answer.status} {answer.url}"))
    page.on("requestfailed", lambda request: seen.append(f"{request.failure} {request.url}"))
    page.on("console", lambda message: seen.append(message.text))

    def wait_for(part: str) -> None:
        until(
            lambda: any(s.startswith("200") and part in s for s in seen),
            part,
            page,
            saw=lambda: seen,
        )

    page.goto(f"{address}/#token={token}")
    for surface in ("RAW", "FOREST-JUNGLE", "OCEAN-SEA", "DESERT"):
        wait_for(f"/{surface}/2004-")
    page.get_by_role("radio", name="Swipe").check()
    page.get_by_role("slider", name="Divider").wait_for()
    keep_screenshot(page, f"lab map {size['width']}")
    ssh = notes[1]["text"].partition(" 'sudo ")[0]
    restart = "sudo docker service update --force --quiet geo-diff-web_tile-server"
    subprocess.run(f"{ssh} {restart}", shell=True, check=True, capture_output=True, timeout=120)
    page.get_by_role("combobox").first.select_option("2004-08-15")
    wait_for("/2004-08-15/")
    page.close()


def test_the_map_takes_a_certificate_of_the_cluster_and_gives_it_up(runbook, repaired):
    """07 itself asks over TLS, by the certificate's hash; whoever does not know it gets nothing."""
    secure = runbook.run("--only", "07", web_tls="made")["07"]
    address = secure["notes"][0]["text"]
    assert ("passed", "https") == (secure["verdict"], address.partition(":")[0])
    assert {"no answer"} == {
        fetch(url).kind[:9] for url in (address, address.replace("https", "http"))
    }
    assert [] == runbook.run("--only", "07", web_tls="made")["07"]["changes"]
    plain = runbook.run("--only", "07")["07"]["notes"][0]["text"]
    assert ("http", "200 text/html") == (plain.partition(":")[0], fetch(plain).kind)
    name, key_file = str(runbook.given["cluster"]), str(runbook.given["key_file"])
    manager = clusters.get_cluster(name, key_file, runbook.place).only(MANAGER).engines[MANAGER]
    assert [] == [s.name for s in manager.secrets.list() if s.name.startswith("web_tls")]
    files = [file for file in runbook.runs.rglob("*") if file.is_file()]
    assert [] == [file for file in files if b"PRIVATE KEY" in file.read_bytes()]


def test_bad_parameters_are_all_named_before_anything_runs(runbook):
    before = len(list(runbook.runs.glob("2*")))
    runbook.run(code=1, worker_count=99, batsh=1, docker_source="snap")

    assert before == len(list(runbook.runs.glob("2*")))
    for name in ("worker_count", "batsh", "docker_source"):
        assert name in runbook.output


def summary(cells):
    """The closing table of an executed notebook, as text."""
    outputs = [output.get("data", {}) for cell in cells for output in cell["outputs"]]
    return next("".join(o["text/plain"]) for o in reversed(outputs) if SUMMARY_MIME in o)


def instance(ec2, role):
    filters = [
        {"Name": "tag:runbook:role", "Values": [role]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    found = ec2.describe_instances(Filters=filters)["Reservations"]
    return found[0]["Instances"][0]["InstanceId"]
