"""
A plan made by Docker's own command line against a Swarm in memory, applied, and made again.
"""

import base64
import json

import docker
import pytest

from runbook_lib.core.errors import CommandError, ConflictError, NotFoundError
from runbook_lib.core.project import FOLDER_VARIABLE
from runbook_lib.stacks.compose import reading
from runbook_lib.stacks.deployment import docker_cli
from runbook_lib.stacks.deployment.plan import CREATED, REMOVED, RESTARTED, UPDATED, keep
from runbook_lib.stacks.deployment.planning import apply, make_plan
from tests.fakes.engine_api import EngineApi, serving
from tests.fakes.ssh import LocalConnection

pytestmark = pytest.mark.docker_cli

STACK = """
version: "3.8"
services:
  web:
    image: example/web:1
    environment: {LEVEL: "1", API_TOKEN: "one"}
    deploy: {replicas: 2}
  worker:
    image: example/worker:1
    deploy: {labels: {runbook.replicas: live}, replicas: 4}
"""
SITE = "configs: {site: {file: ./site.conf}}\n"


class Site:
    """
    A stack file in a folder, and the Swarm that it goes to.
    """

    def __init__(self, engine, manager, folder):
        self.engine, self.manager, self.folder = engine, manager, folder
        self.connection = LocalConnection()

    def plan(self, text=STACK, **options):
        file = self.folder / "stack.yml"
        file.write_text(text)
        options = {"images": {}} | options
        return make_plan(self.connection, self.manager, reading.read(file), "app", **options)

    def deploy(self, text=STACK, **options):
        return apply(self.connection, self.manager, self.plan(text, **options))

    def service(self, name):
        return next(s for s in self.engine.listed["services"] if s["Spec"]["Name"] == name)


@pytest.fixture
def site(tmp_path, monkeypatch):
    with serving(EngineApi(tmp_path / "engine.sock")) as engine:
        monkeypatch.setattr(docker_cli, "SOCKET", engine.path)
        manager = docker.DockerClient(f"unix://{engine.path}", version="1.41")
        yield Site(engine, manager, tmp_path)
        manager.close()


def steps(made):
    return [(s.what, s.name, s.action, s.tasks) for s in made.steps]


def fields(made):
    return [
        (f.path.removeprefix("TaskTemplate.ContainerSpec."), f.old, f.new)
        for s in made.steps
        for f in s.fields
    ]


def test_a_new_stack_is_created_as_planned_and_a_second_plan_is_empty(site):
    made = site.plan()

    assert [] == site.engine.writes
    assert [
        ("network", "app_default", CREATED, 0),
        ("service", "app_web", CREATED, 2),
        ("service", "app_worker", CREATED, 4),
    ] == steps(made)
    assert len(made.steps) == len(apply(site.connection, site.manager, made))
    assert site.plan().is_empty


def test_an_empty_plan_sends_nothing_to_docker(site):
    site.deploy()
    site.engine.writes.clear()

    assert [] == site.deploy()
    assert [] == site.engine.writes


def test_only_what_changes_is_sent_and_each_field_is_told(site):
    site.deploy()
    site.engine.writes.clear()
    site.engine.listed["tasks"] += [{"ID": "t", "ServiceID": site.service("app_web")["ID"]}] * 2
    made = site.plan(STACK.replace('LEVEL: "1"', 'LEVEL: "2"'))

    assert [("service", "app_web", RESTARTED, 2)] == steps(made)
    assert [("Env.LEVEL", "1", "2")] == fields(made)
    apply(site.connection, site.manager, made)
    assert [("POST", f"services/{site.service('app_web')['ID']}/update")] == site.engine.writes


def test_a_scaled_service_is_updated_in_place_and_one_that_is_gone_is_removed(site):
    site.deploy()
    only_web = STACK.partition("  worker:")[0].replace("replicas: 2", "replicas: 3")
    made = site.plan(only_web)

    assert [
        ("service", "app_web", UPDATED, 0),
        ("service", "app_worker", REMOVED, 0),
    ] == steps(made)
    assert [("Mode.Replicated.Replicas", "2", "3")] == fields(made)
    site.deploy(only_web)
    assert ["app_web"] == [s["Spec"]["Name"] for s in site.engine.listed["services"]]


def test_another_constraint_moves_only_the_tasks_on_the_wrong_nodes(site):
    site.deploy()
    site.engine.listed["nodes"] += [
        {"ID": f"n{n}", "Spec": {"Role": role}} for n, role in enumerate(["manager", "worker"])
    ]
    web = {"ServiceID": site.service("app_web")["ID"]}
    site.engine.listed["tasks"] += [{"ID": f"t{n}", "NodeID": f"n{n}", **web} for n in (0, 1)]
    constraint = "placement: {constraints: [node.role == worker]}"
    made = site.plan(STACK.replace("{replicas: 2}", f"{{replicas: 2, {constraint}}}"))

    assert [("service", "app_web", UPDATED, 1)] == steps(made)


def test_the_autoscaler_moves_its_service_without_a_change_of_the_plan(site):
    site.deploy()
    made = site.plan(STACK.replace('LEVEL: "1"', 'LEVEL: "2"'))
    site.service("app_worker")["Spec"]["Mode"]["Replicated"]["Replicas"] = 7
    apply(site.connection, site.manager, made)

    assert 7 == site.service("app_worker")["Spec"]["Mode"]["Replicated"]["Replicas"]
    assert site.plan(STACK.replace('LEVEL: "1"', 'LEVEL: "2"')).is_empty


def test_a_plan_is_refused_when_the_swarm_has_moved(site):
    site.deploy()
    made = site.plan(STACK.replace('LEVEL: "1"', 'LEVEL: "2"'))
    site.service("app_web")["Spec"]["Mode"]["Replicated"]["Replicas"] = 5
    site.engine.writes.clear()

    with pytest.raises(ConflictError, match="plan again"):
        apply(site.connection, site.manager, made)
    assert [] == site.engine.writes


def test_values_that_look_secret_and_values_of_a_file_are_not_shown(site):
    site.deploy()
    changed = STACK.replace('"one"', '"two"').replace('LEVEL: "1"', 'LEVEL: "hunter2"')
    made = site.plan(changed, hidden=["hunter2"])

    assert [
        ("Env.API_TOKEN", "(not shown)", "(not shown)"),
        ("Env.LEVEL", "(not shown)", "(not shown)"),
    ] == fields(made)
    shown = json.dumps(made.as_dict()) + repr(made) + made._repr_html_()
    assert [] == [value for value in ("hunter2", '"one"', '"two"') if value in shown]


def test_the_network_of_the_host_is_known_again_by_swarms_own_id_for_it(site):
    """No list of networks has that id."""
    host = "networks: {host: {external: true, name: host}}\n"
    text = STACK.replace("    deploy: {replicas: 2}", "    networks: [host]") + host
    site.deploy(text)
    task = site.service("app_web")["Spec"]["TaskTemplate"]
    assert "host" == task["Networks"][0]["Target"]
    task["Networks"][0]["Target"] = "5w4rm"
    network = {"ID": "5w4rm", "Spec": {"Name": "host"}}
    its = {
        "ServiceID": site.service("app_web")["ID"],
        "NetworksAttachments": [{"Network": network}],
    }
    site.engine.listed["tasks"].append({"ID": "t", **its})

    assert site.plan(text).is_empty


def test_drift_is_told_with_its_fields_and_the_autoscalers_number_is_none(site):
    site.deploy()
    deployed = {
        name: json.loads(json.dumps(site.service(f"app_{name}")["Spec"]))
        for name in ("web", "worker")
    }
    site.service("app_web")["Spec"]["Mode"]["Replicated"]["Replicas"] = 5
    site.service("app_worker")["Spec"]["Mode"]["Replicated"]["Replicas"] = 7
    made = site.plan(deployed=deployed)

    [drift] = made.drift
    assert ("app_web", "changed by hand since the last deployment") == (drift.name, str(drift))
    assert ("2", "5") == (drift.fields[0].old, drift.fields[0].new)
    assert [("service", "app_web", UPDATED, 0)] == steps(made)


def test_a_secret_that_will_be_created_counts_as_there(site):
    text = STACK + "    secrets: [token]\nsecrets: {token: {external: true}}\n"
    with pytest.raises(CommandError, match="token"):
        site.plan(text)

    assert ("secret", "token", CREATED, 0) == steps(site.plan(text, new_secrets=["token"]))[0]


def test_files_of_the_stack_are_beside_it(site):
    text = STACK + "    env_file: ./values/worker.env\n    configs: [site]\n" + SITE
    files = {"values/worker.env": b"MODE=fast\n", "site.conf": b"hello"}
    site.deploy(text, files=files)

    assert ["MODE=fast"] == site.service("app_worker")["Spec"]["TaskTemplate"]["ContainerSpec"][
        "Env"
    ]
    [config] = site.engine.listed["configs"]
    assert ("app_site", b"hello") == (
        config["Spec"]["Name"],
        base64.b64decode(config["Spec"]["Data"]),
    )
    assert site.plan(text, files=files).is_empty


def test_a_changed_config_is_refused_before_anything_is_touched(site):
    text = STACK + "    configs: [site]\n" + SITE
    site.deploy(text, files={"site.conf": b"hello"})
    site.engine.writes.clear()

    with pytest.raises(CommandError, match="only updates to Labels are allowed"):
        site.plan(text, files={"site.conf": b"bye"})
    assert [] == site.engine.writes


def test_dockers_reason_is_told_with_its_line_and_without_hidden_values(site):
    external = "networks: {outside: {external: true, name: hunter2}}\n"
    with pytest.raises(CommandError) as told:
        site.plan(STACK + "    networks: [outside]\n" + external, hidden=["hunter2"])

    assert "hunter2" not in str(told.value)
    assert 'network "(not shown)" is declared as external' in str(told.value)
    with pytest.raises(CommandError, match=r"stack.yml:\d+: .*undefined network"):
        site.plan(STACK + "    networks: [nope]\n")


def test_a_plan_has_one_fingerprint_of_what_it_would_deploy(site):
    first, again = site.plan(), site.plan()

    assert (first, first.content) == (again, again.content)
    assert first.content != site.plan(STACK.replace("web:1", "web:2")).content
    assert "example/web:1" in repr(first)


def test_a_plan_with_changes_is_kept_beside_the_run(site, tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    keep(site.plan())
    site.deploy()
    keep(site.plan())

    [file] = (tmp_path / "run").iterdir()
    kept = json.loads(file.read_text())
    assert ("plan-1-app.json", 3) == (file.name, len(kept["steps"]))


@pytest.mark.parametrize("value", ['pa"ss\\word', "päss word"])
def test_a_value_in_a_list_is_not_shown_however_it_is_written(site, value):
    site.deploy()
    command = json.dumps(["run", f"--password={value}"], ensure_ascii=False)
    made = site.plan(
        STACK.replace("    deploy: {rep", f"    command: {command}\n    deploy: {{rep"),
        hidden=[value],
    )

    assert [("Args", "", "(not shown)")] == fields(made)


def test_a_value_that_docker_splits_as_a_command_is_not_shown(site):
    site.deploy()
    command = "    command: run --password=hunter2 sesame\n    deploy: {rep"
    made = site.plan(STACK.replace("    deploy: {rep", command), hidden=["hunter2 sesame"])

    assert [("Args", "", "(not shown)")] == fields(made)


def test_a_value_that_docker_quotes_is_not_in_its_reason(site):
    external = "networks: {outside: {external: true, name: 'hunt\"er2'}}\n"
    with pytest.raises(CommandError) as told:
        site.plan(STACK + "    networks: [outside]\n" + external, hidden=['hunt"er2'])

    assert "er2" not in str(told.value)


def test_what_a_person_wrote_into_the_swarm_cannot_command_a_terminal(site):
    site.deploy()
    labels = site.service("app_web")["Spec"]["Labels"]
    labels |= {"note": "\x1b[2J\nservice app_web: no changes", "long": "x" * 100_000, "\x1b[0m": ""}
    shown = repr(site.plan())

    assert r"Labels.note: \x1b[2J\nservice app_web: no changes" in shown
    assert ("\x1b" in shown, len(shown) < 3000) == (False, True)


A, B = ("sha256:" + digit * 64 for digit in "ab")


def images(site):
    return {
        s["Spec"]["Name"]: s["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
        for s in site.engine.listed["services"]
    }


def test_what_the_plan_shows_is_deployed_whatever_a_tag_means_by_then(site):
    """A registry may answer another digest a second later: to the plan A, to the deployment B."""
    site.engine.digests["example/web:1"] = A
    made = site.plan()
    site.engine.digests["example/web:1"] = B
    apply(site.connection, site.manager, made)

    assert {"app_web": f"example/web:1@{A}", "app_worker": "example/worker:1"} == images(site)


BUILT = "services: {web: {image: app, build: .}}\n"
REFERENCE = "10.0.0.4:5001/app:0a1b"


def test_an_image_that_was_built_runs_by_the_digest_of_its_push(site):
    """A container planted another one under its tag; the manager's engine knows its own push."""
    site.engine.digests[REFERENCE] = B
    site.engine.images["127.0.0.1:5002/app:0a1b"] = [f"127.0.0.1:5002/app@{A}", f"other/app@{B}"]
    site.deploy(BUILT, images={"app": REFERENCE})

    assert {"app_web": f"{REFERENCE}@{A}"} == images(site)
    assert site.plan(BUILT, images={"app": REFERENCE}).is_empty


def test_what_only_a_registry_has_under_the_tag_is_not_deployed(site):
    site.engine.digests[REFERENCE] = B
    with pytest.raises(NotFoundError, match=f"has pushed none of: {REFERENCE}"):
        site.deploy(BUILT, images={"app": REFERENCE})

    assert [] == site.engine.writes


def test_the_image_of_the_registry_itself_runs_by_its_id(site):
    """No registry has it; by its name, each node would ask Docker Hub first."""
    site.engine.images["registry:0a1b"] = []
    site.deploy(BUILT, images={"app": "registry:0a1b"})

    assert {"app_web": "sha256:" + "1d" * 32} == images(site)


def test_a_plan_made_before_the_images_are_built_is_the_same_afterwards(site):
    """`runbook plan --save` knows no digest yet; `runbook apply` builds first and compares."""
    before = site.plan(BUILT, images={"app": REFERENCE})
    site.engine.images["127.0.0.1:5002/app:0a1b"] = [f"127.0.0.1:5002/app@{A}"]

    assert before.as_dict() == site.plan(BUILT, images={"app": REFERENCE}).as_dict()
