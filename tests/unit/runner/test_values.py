"""
Parameter files against the declarations of the real notebooks: refused before anything is touched.
"""

import pytest

from runbook_lib.core.errors import ParameterError
from runbook_lib.core.project import NOTEBOOKS
from runbook_lib.notebook.parameters import check
from runbook_lib.notebook.templates import find_notebooks
from runbook_lib.runner.headless import Request, prepare
from runbook_lib.runner.values import declared, load, read_arguments, resolve

DECLARED = declared(find_notebooks(NOTEBOOKS))


def refusal(tmp_path, text, *arguments):
    """The error of `runbook prepare`, which takes the same way as `runbook run`."""
    path = tmp_path / "params.yml"
    path.write_text(text)
    with pytest.raises(ParameterError) as caught:
        prepare(Request(path, given=arguments, notebooks=NOTEBOOKS, runs=tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("stack_name: 2024-13-01\n", "params.yml:1: stack_name is 2024-13-01"),
        ("surfaces: [2024-01-02]\n", "params.yml:1: surfaces is 2024-01-02"),
        ('cluster: ""\n', "params.yml:1: cluster is '', expected str"),
        ('stack_name: ""\n', "params.yml:1: stack_name is '', expected str"),
        ("stack_name: =\n", "params.yml:1: stack_name is ="),
        ("queues: [no, 08, null, 1]\n", "queues: expected texts, saw False, None, 1"),
        ("min_scale: 9\nmax_scale: 3\n", "params.yml:1: min_scale is 9, expected int 1..max_scale"),
        ("batch: 0300\n", "params.yml:1: batch is 0300, expected int"),
        ('stack_name: "my stack/x"\n', "the work stack: letters, digits, - and _"),
        ("batch: !!int abc\n", "params.yml:1: batch is abc"),
        ("batch: !vault x\n", "params.yml:1: batch has the tag !vault"),
        ('stack_variables: ["DOMAIN"]\n', "saw 'DOMAIN' (more variables of the stack, each NAME=v"),
        ('stack_variables: ["$(touch here)=1"]\n', "saw '$(touch here)=1'"),
        ('stack_variables: ["=1"]\n', "saw '=1'"),
        ('open_ports: ["80"]\n', "open_ports: expected each item to follow /"),
        ("open_ports: [80]\n", "open_ports: expected texts, saw 80 (rules beyond"),
        ("cluster: sg-1\n", "params.yml:1: cluster is 'sg-1'"),
        (f"stack_name: {'x' * 41}\n", "params.yml:1: stack_name is 'xxx"),
        ("web_stack_name: _x\n", "params.yml:1: web_stack_name is '_x'"),
        ('tiles_url: ""\n', "tiles_url is missing (required with surfaces"),
        ('cluster: "*"\n', "params.yml:1: cluster is '*'"),
        ('cluster: "geo-dif?"\n', "params.yml:1: cluster is 'geo-dif?'"),
        ('region: "us-east-1/../x"\n', "params.yml:1: region is 'us-east-1/../x'"),
        ('instance_type: "*"\n', "params.yml:1: instance_type is '*'"),
        ('operator_cidr: "0.0.0.0/0"\n', "operator_cidr is '0.0.0.0/0', expected str address/32"),
        ('web_cidr: "everybody"\n', "web_cidr is 'everybody', expected str network"),
        ('page_name: "-x; id"\n', "page_name is '-x; id', expected str DNS name"),
        ("web_tls: no\n", "web_tls is"),
        ('docker_version: "*"\n', "params.yml:1: docker_version is '*'"),
        ("tiles_url: file:///etc/shadow\n", "tiles_url is 'file:///etc/shadow', expected str URL"),
        ("tiles_url: http://u:p@x\n", "params.yml:1: tiles_url holds a password in an address"),
        ('endpoint_url: "http://x/$(id)"\n', "params.yml:1: endpoint_url is 'http://x/$(id)'"),
        ('key_file: "a\\nb"\n', r"params.yml:1: key_file is 'a\nb', expected str path"),
        ('surfaces: ["../etc"]\n', "surfaces: expected each item to follow folder, saw '../etc'"),
        ("broker_nodes: [$HOME]\n", "broker_nodes: expected each item to follow /"),
        (f"cluster: {'x' * 90_000}\n", "cluster has 90000 characters, expected at most 20000"),
        (f"queues: [{'a,' * 2000}]\n", "queues has 2000 items, expected at most 1000"),
        ("stack_name: registry\n", "params.yml:1: stack_name is 'registry'"),
    ],
)
def test_a_wrong_value_is_refused_where_it_is_set(tmp_path, text, problem):
    given = "" if "tiles_url" in text else "tiles_url: http://x\n"
    assert problem in refusal(tmp_path, text + given)


@pytest.mark.parametrize("item", ["DOMAIN", "$(touch here)=1", "DB_PASSWORD=x"])
def test_the_notebook_itself_refuses_what_is_no_variable(item):
    cell = next(n for n in find_notebooks(NOTEBOOKS) if n.number == "06").parameters_source
    namespace = {"In": [cell], "tiles_url": "http://x", "stack_variables": [item]}
    with pytest.raises(ParameterError, match="06_work_stack, injected parameters: stack_variables"):
        check("06_work_stack", namespace)


def test_a_name_alone_sets_nothing(tmp_path):
    told = refusal(tmp_path, "tiles_url: http://x\n", "stack_name")
    assert "-p stack_name: expected NAME=VALUE" in told


def test_what_is_wrong_in_the_file_and_on_the_command_line_is_told_at_once(tmp_path):
    told = refusal(tmp_path, "a: 2024-13-01\nbatch: 0300\nbatsh: 1\n", "queues", "surfaces=[a")
    problems = [
        "a is 2024-13-01",
        "-p queues",
        "batch is 0300",
        "declares batsh",
        "-p surfaces=[a:",
    ]
    assert [] == [problem for problem in problems if problem not in told]
    assert "6 parameters are not" in told  # the sixth is tiles_url


@pytest.mark.parametrize(
    "name",
    [
        *("DB_PASSWORD", "API_TOKEN", "AWS_SECRET", "my_key", "Credentials"),
        *("RABBITMQ_DEFAULT_PASS", "db_pass", "PASS", "MYSQL_PWD", "RABBITMQ_ERLANG_COOKIE"),
    ],
)
def test_a_variable_with_the_name_of_a_secret_is_refused_and_its_value_is_not_shown(tmp_path, name):
    line = f'stack_variables: ["{name}=hunter2", "2=x"]\ntiles_url: http://x\n'
    in_file = refusal(tmp_path, line)
    given = refusal(tmp_path, "tiles_url: http://x\n", f"stack_variables={name}=hunter2")
    for told in (in_file, given):
        assert f"stack_variables sets {name}" in told
        assert "stack_env_file" in told
        assert "hunter2" not in told


@pytest.mark.parametrize("name", ["PASSIVE_MODE", "COMPASS", "BYPASS", "PWD", "COOKIE_DOMAIN"])
def test_a_variable_that_only_looks_like_the_name_of_a_secret_is_taken(tmp_path, name):
    path = tmp_path / "params.yml"
    path.write_text(f'tiles_url: http://x\nstack_variables: ["{name}=on"]\n')
    assert [f"{name}=on"] == resolve(load(path), DECLARED, DECLARED)["stack_variables"]


def test_without_surfaces_nothing_is_asked_about_tiles(tmp_path):
    path = tmp_path / "params.yml"
    path.write_text("surfaces: []\nqueues: []\nstack_file: stacks/other/stack.yml\n")
    values = resolve(load(path), DECLARED, DECLARED)
    assert ([], []) == (values["surfaces"], values["queues"])


@pytest.mark.parametrize(
    ("text", "given", "told"),
    [
        ("stack_name: a\nweb_stack_name: a\n", [], "web_stack_name is 'a'"),
        ("stack_name: geo-diff-web\n", [], "web_stack_name is 'geo-diff-web'"),
        ("", ["web_stack_name=geo-diff-work"], "web_stack_name is 'geo-diff-work'"),
    ],
)
def test_the_two_stacks_have_two_names(tmp_path, text, given, told):
    """Else the one would replace the services of the other, and 97 remove both."""
    seen = refusal(tmp_path, f"tiles_url: http://x\n{text}", *given)
    assert f"{told}, expected str stack but stack_name" in seen
    assert "stack_name is" in seen


@pytest.mark.parametrize("number", ["06", "07", "96", "97"])
def test_a_page_that_deploys_or_removes_a_stack_knows_the_name_of_the_other(number):
    page = next(n for n in find_notebooks(NOTEBOOKS) if n.number == number)
    same = {"stack_name": "mine", "web_stack_name": "mine", "tiles_url": "http://x"}
    with pytest.raises(ParameterError, match=r"web_stack_name is 'mine'.*stack_name is mine"):
        check(page.name, {"In": [page.parameters_source], **same})


def test_any_stack_can_be_rolled_back_and_recorded(tmp_path):
    given = ["stack_name=geo-diff-web"]
    settings = read_arguments(given, DECLARED)
    for number in ("13", "40"):
        own = declared([n for n in find_notebooks(NOTEBOOKS) if n.number == number])
        assert {"stack_name": "geo-diff-web"} == resolve(settings, DECLARED, own)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tiles_url", "https://user:{}@example.org/tiles"),
        ("tiles_url", "https://b.s3.amazonaws.com/t?X-Amz-Signature={}"),
        ("stack_variables", "DB_URL=amqp://geodiff:{}@broker"),
    ],
)
def test_a_value_that_holds_a_secret_is_refused_and_not_shown(tmp_path, name, value):
    secret = "hunter2hunter2"
    said = refusal(tmp_path, "", f"{name}={value.format(secret)}")
    assert "and a parameter is written into the run" in said
    assert secret not in said
