"""
The library's shape: imports go downward, the rooms keep apart, nothing public is unused.
"""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from runbook_lib.notebooks import find_notebooks

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = sorted((ROOT / "runbook_lib").glob("*.py"))
UNIT_TESTS = sorted((ROOT / "tests" / "unit").glob("*.py"))
PROGRAMS = {
    "__main__",
    "probe_agent",
    "stats_agent",
    "backup_agent",
}  # run by a shell, here or on an instance
MODULES = {path.stem for path in LIBRARY}

LAYERS = [
    {"errors", "ledger", "merge_patch"},
    {"progress", "changes", "checks", "charts", "findings"},
    {"wait", "parallel"},
    # records that many nouns speak of, and pure comparisons
    {"instances", "key_pairs", "firewall", "stack_file", "convergence", "segmentation", "quorum"},
    {"drill_times", "scorecard"},
    {
        "recordings",
        "docker_values",
        "wall_clock",
        "autoscaler_log",
        "counters",
        "container_counters",
    },
    {"stats_csv", "thinning", "recording_writer", "load_plan"},
    {"node_samples", "load_series", "steady_state"},
    # the arithmetic of a load
    {"scalability_law"},
    {"scalability", "cpu_credits", "service_policy", "throughput", "utilisation"},
    {"autoscaling", "run_costs", "recommendation", "bottleneck"},
    {"autoscaling_replay", "setting_search"},
    {"scalability_charts", "credit_charts", "setting_charts"},
    {"load_machines", "replay_finding"},
    {"load_answer"},
    {"load_findings", "cost_findings", "setting_trials"},
    {"answer_box"},
    {"probe_agent", "backup_agent", "stats_agent", "reachability_chart"},
    # the wire
    {"aws", "ssh"},
    {"docker_ssh", "host_files"},
    # what a mount of a bucket consists of
    {"bucket_settings", "s3_mount_files"},
]
"""A module imports only from the layers under its own; every other noun stands on top of them."""

RUNNER = {
    "declarations": {"errors"},
    "notebooks": {"errors"},
    "settings": {"errors", "declarations"},
    "parameters": {"errors", "declarations", "notebooks", "settings"},
    "runs": {"errors"},
    "kernels": {"notebooks"},
    "interrupts": {"kernels", "runs"},
    "leaks": {"notebooks"},
    "report": {"runs", "scorecard"},
    "execution": {"checks", "interrupts", "kernels", "notebooks", "runs"},
    "turns": {
        "execution",
        "interrupts",
        "kernels",
        "leaks",
        "notebooks",
        "parameters",
        "report",
        "runs",
    },
    "headless": {
        "errors",
        "interrupts",
        "kernels",
        "notebooks",
        "parameters",
        "runs",
        "settings",
        "turns",
    },
    "walkthrough": set(),
    "__main__": {"errors", "headless", "notebooks", "walkthrough"},
}
"""The runner beside them: it knows notebooks, and nothing of clusters."""

SIBLINGS = {
    "security_groups": {"security_group_rules"},  # one noun in two modules: the groups, their rules
    "swarm": {"node_specs", "swarm_join"},  # engines join it, its nodes are labelled
    "managers": {
        "node_specs",
        "swarm",
        "swarm_join",
    },  # nodes of the Swarm, with the majority counted
    "stack_tables": {"stack", "swarm"},  # what of a stack runs, on which node
    "browser": {"web"},  # asks at the addresses, with the token
    "tiles_backup": {"backup_files"},  # puts in place what consists of these
    "master": {"node_specs", "swarm"},  # a label on a node of the Swarm
    "standby": {"images", "master"},  # has what the services that may move need
    "failover": {
        "managers",
        "master",
        "stack",
        "standby",
        "swarm",
        "tiles_backup",
    },  # moves them all, in order
    "broker_cluster": {"broker", "swarm"},  # three of the one, on labelled nodes of the other
    # tiles on S3: the bucket, the way in, the mount, and the move there and back
    "role_holders": {"instance_role"},
    "s3_access": {"instance_role", "role_holders", "s3_mount", "tiles_bucket"},
    "s3_costs": {"tiles_bucket"},
    "tiles_on_s3": {"s3_copying", "s3_mount", "tiles", "volume_users"},
    "tiles_home": {"s3_access", "s3_copying", "tiles_bucket", "tiles_on_s3"},
    "volume_users": {"service_specs"},
    "volume_speed": {"tiles", "volume_users"},
    "remade": {"tiles"},  # results that lie where the tiles are
    "results": {"tiles"},  # counts and compares what lies where the tiles are
    # the recorder and the load that it records
    "queue_watch": {"management_api", "node_stream"},
    "recorder": {"management_api", "node_stream", "queue_watch", "runs"},
    "load_tiles": {"tiles"},
    "load_stack": {"management_api", "service_specs", "stack"},
    "sweep": {"recorder", "service_specs"},
    "load_charts": {"runs_in_recording"},  # experiments side by side, with their runs
    # a drill: what it breaks, what it watches, what it has to show
    "power": {"security_groups"},
    # who hands over comes back by itself, and nobody replays what is past
    "quorum_recovery": {"hand_over", "managers", "raft_log", "swarm"},
    "swarm_watch": {"docker_ssh", "swarm"},
    "web_probe": {"browser", "web"},
    "drill_cluster": {
        "failover",
        "load_stack",
        "load_tiles",
        "management_api",
        "managers",
        "overlays",
        "power",
        "process_signals",
        "quorum_recovery",
        "stack",
        "swarm",
        "tiles",
        "web",
    },
    "drill_picture": {"drill_cluster", "service_specs", "swarm"},
    "failures": {"drill_cluster", "power", "process_signals", "swarm"},
    "manager_failures": {
        "drill_cluster",
        "failover",
        "failures",
        "managers",
        "power",
        "quorum_recovery",
        "raft_log",
        "swarm",
    },
    "drill_pace": {"books", "drill_cluster"},
    "drill_evidence": {"books", "failures", "swarm_watch"},
    "drill_chart": {"drill_evidence"},
    "drill_record": {"drill_evidence", "runs"},
    "drill_books": {"books", "drill_cluster", "drill_pace", "load_stack", "service_specs"},
    "drill": {
        "books",
        "browser",
        "drill_books",
        "drill_cluster",
        "drill_evidence",
        "drill_pace",
        "drill_record",
        "failures",
        "load_stack",
        "load_tiles",
        "service_specs",
        "stack",
        "swarm_watch",
        "web",
        "web_probe",
    },
    "recording_source": {"published_logs"},  # either format
    "cost_findings": {"runs_in_recording"},  # idling costs in those without load
    "load_pages": {"load_charts", "recording_source"},
    # writes a parameter file, and asks the runner if it would take it
    "recommended_file": {"notebooks", "parameters", "runs", "settings"},
    # looks at every step
    "steps": {"security_group_rules", "security_groups", "tiles", "web"},
}
"""The nouns that know another one."""


def imported(path: Path, package: str) -> set[str]:
    """
    The modules of a package that a file imports, at any depth.
    """
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {
                a.name.partition(".")[2] for a in node.names if a.name.split(".")[0] == package
            }
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package:
            rest = node.module.partition(".")[2]
            found |= {rest} if rest else {alias.name for alias in node.names}
    return found


def test_there_is_a_library():
    assert len(LIBRARY) > 20


@pytest.mark.parametrize("path", LIBRARY, ids=lambda p: p.stem)
def test_imports_go_downward(path):
    below = set()
    for layer in LAYERS:
        if path.stem in layer:
            break
        below |= layer
    allowed = RUNNER.get(path.stem, below | SIBLINGS.get(path.stem, set()))
    assert set() == imported(path, "runbook_lib") - allowed


def test_no_import_goes_in_a_circle():
    left = {path.stem: imported(path, "runbook_lib") & MODULES for path in LIBRARY}
    while free := [name for name, needs in left.items() if not needs & left.keys()]:
        left = {name: needs for name, needs in left.items() if name not in free}
    assert {} == left


def test_the_lab_and_the_runbook_meet_only_over_the_wire():
    for room, other in [("lab", "runbook_lib"), ("runbook_lib", "lab")]:
        for path in (ROOT / room).rglob("*.py"):
            assert set() == imported(path, other), path


def test_every_public_name_is_used_by_a_notebook_another_module_or_a_test_of_its_own():
    users = {path: words(path.read_text()) for path in [*LIBRARY, *UNIT_TESTS]}
    in_notebooks = {
        word for n in find_notebooks(ROOT / "notebooks") for c in n.code for word in words(c.source)
    }
    unused = []
    for path in LIBRARY:
        if path.stem in PROGRAMS:
            continue
        elsewhere = in_notebooks.union(*(used for user, used in users.items() if user != path))
        source = path.read_text()
        for node in ast.parse(source).body:
            kinds = (ast.FunctionDef, ast.ClassDef)
            if not isinstance(node, kinds) or node.name.startswith("_") or node.name in elsewhere:
                continue
            handed_out = isinstance(node, ast.ClassDef) and source.count(node.name) > 1
            unused += [] if handed_out else [f"{path.stem}.{node.name}"]
    assert [] == unused


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


def test_conda_users_get_what_pip_users_get():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, from_pip = conda["dependencies"]
    assert project["requires-python"] == python.removeprefix("python")
    assert "pip" == pip
    extras = ",".join(project["optional-dependencies"])
    assert {"pip": [f"-e .[{extras}]"]} == from_pip
    assert project["name"] == conda["name"]
