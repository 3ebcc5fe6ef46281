"""
Stack files with their values: variables replaced, shapes checked, several files merged.
"""

import pytest
import yaml

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.stacks.compose.reading import read
from runbook_lib.stacks.compose.rendering import keeps_replicas, render
from runbook_lib.stacks.compose.tables import declared_services, declared_variables


@pytest.fixture
def stack(tmp_path):
    """Write stack files and read them."""

    def one(*texts, **how):
        names = [f"{number}.yml" for number in range(len(texts))]
        for name, text in zip(names, texts, strict=True):
            (tmp_path / name).write_text(text)
        path, *more = [str(tmp_path / name) for name in names]
        return read(path, more=more, **how)

    return one


def service(text):
    return f"services:\n  one:\n    image: x\n    {text}\n"


def error_of(stack, *texts, **how):
    with pytest.raises(ParameterError) as told:
        stack(*texts, **how)
    return str(told.value)


# --- variables


def test_every_variable_is_listed_with_its_value_and_where_that_comes_from(stack, tmp_path):
    (tmp_path / "values.env").write_text("# secret\nDB_PASSWORD=p=w\n\n  DOMAIN=from.file\n")
    text = """
x-runbook: {variables: {WORKERS: min_scale, STAGE: stage}}
services:
  one:
    image: "x:${TAG:-1}"
    environment: {DOMAIN: "${DOMAIN}", DB: "$DB_PASSWORD", STAGE: "${STAGE:-prod}"}
    deploy: {replicas: "${WORKERS:-3}"}
"""
    its = stack(
        text,
        variables=["DOMAIN=example.org"],
        env_file=str(tmp_path / "values.env"),
        parameters={"min_scale": 4},
    )

    assert 4 == its.services["one"]["deploy"]["replicas"]
    assert "p=w" == its.services["one"]["environment"]["DB"]
    assert [
        ("DB_PASSWORD", "(not shown)", f"{tmp_path}/values.env:2", f"{its.path}:6"),
        ("DOMAIN", "example.org", "stack_variables", f"{its.path}:6"),
        ("STAGE", "prod", f"default, {its.path}:6", f"{its.path}:6"),
        ("TAG", "1", f"default, {its.path}:5", f"{its.path}:5"),
        ("WORKERS", "4", "parameter min_scale", f"{its.path}:7"),
    ] == list(declared_variables(its).itertuples(index=False, name=None))
    assert "p=w" not in repr(its.variables)


SUBSTITUTED = {
    "${A}": "1", "$A": "1", "${A:-d}": "1", "${U:-d}": "d", "${U-d}": "d", "${E:-d}": "d",
    "${E-d}": "", "${A:?why}": "1", "${A?why}": "1", "${A:?must-be-set}": "1", "$$A": "$A",
    "$${A}": "${A}", "$$$A": "$1", "a${A}b$A.c": "a1b1.c", "${U:-a:-b}": "a:-b", "${U:-$$}": "$$",
    "${U:-a${A}}": "a${A}", "${U:-}": "",
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), SUBSTITUTED.items())
def test_variables_are_replaced_as_docker_does(stack, text, value):
    its = stack(service(f"hostname: '{text}'"), variables=["A=1", "E="])
    rendered = yaml.safe_load(render(its, {}, {})[0])["services"]["one"]["hostname"]

    assert value == its.services["one"]["hostname"]
    assert value.replace("$", "$$") == rendered


def test_all_variables_without_a_value_are_told_with_their_lines(stack):
    text = "environment: {A: '${DOMAIN}', B: $lower}\n    user: '${U:?who are you}'"
    told = error_of(stack, service(text))

    assert "0.yml:4: DOMAIN has no value" in told
    assert "0.yml:4: lower has no value" in told
    assert "0.yml:5: U has no value: who are you" in told
    assert "stack_env_file" in told


def test_a_variable_in_a_comment_a_key_or_an_escape_is_none(stack):
    its = stack("# ${COMMENTED}\n" + service("environment: {A: '$${ESCAPED}', '${KEY}': b}"))

    assert () == its.variables
    assert '"${KEY}": "b"' in render(its, {}, {})[0]


def test_a_dollar_without_a_name_is_told(stack):
    assert "0.yml:4: expected a variable after $" in error_of(stack, service("user: 'a$ b'"))


def test_a_number_or_a_boolean_is_made_only_where_a_variable_was_replaced(stack):
    its = stack(
        service("tty: '${T}'\n    deploy: {update_config: {max_failure_ratio: '${R}'}}"),
        variables=["T=yes", "R=0.5"],
    )
    assert its.services["one"]["tty"] is True
    assert 0.5 == its.services["one"]["deploy"]["update_config"]["max_failure_ratio"]
    assert "expected an integer as services.one.deploy.replicas, saw a text" in error_of(
        stack, service("deploy: {replicas: '3'}")
    )


def test_a_value_that_is_no_number_is_told_without_the_value(stack, tmp_path):
    (tmp_path / "values.env").write_text("N=hunter2\n")
    text = service("deploy: {replicas: '${N}'}")
    told = error_of(stack, text, env_file=str(tmp_path / "values.env"))

    assert "0.yml:4: expected an integer as services.one.deploy.replicas, saw a text" in told
    assert "hunter2" not in told


def test_a_variable_of_a_container_without_a_value_is_filled(stack):
    values = {"variables": ["A=1", "B=2"]}
    mapped = stack(service("environment: {A: , B: '', C: }"), **values)
    listed = stack(service("environment: [A, B=, C]"), **values)

    assert {"A": "1", "B": "2", "C": None} == mapped.services["one"]["environment"]
    assert ["A=1", "B=2", "C"] == listed.services["one"]["environment"]
    assert ["A", "B"] == [variable.name for variable in listed.variables]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("DOMAIN", "expected NAME=value as entry 1"),
        ("$(touch here)=1", "expected NAME=value as entry 1"),
        ("DB_PASSWORD=hunter2", "DB_PASSWORD sounds like a secret"),
    ],
)
def test_an_entry_that_is_no_variable_or_a_secret_is_refused(stack, entry, words):
    told = error_of(stack, service("user: a"), variables=[entry])

    assert words in told
    assert "hunter2" not in told


def test_a_line_that_is_no_variable_is_refused_without_its_text(stack, tmp_path):
    (tmp_path / "values.env").write_text("A=1\nhunter2\n")
    told = error_of(stack, service("user: a"), env_file=str(tmp_path / "values.env"))

    assert "values.env:2: expected NAME=value" in told
    assert "hunter2" not in told


def test_a_missing_file_of_values_is_named(stack):
    with pytest.raises(NotFoundError, match=r"nowhere\.env"):
        stack(service("user: a"), env_file="nowhere.env")


def test_what_a_stack_has_is_read_without_its_values(stack):
    its = stack(service("user: '${U}'"), complete=False)

    assert "" == its.services["one"]["user"]


def test_the_conventions_never_reach_docker(stack):
    text = "x-runbook: {generated_secrets: [token]}\nx-other: {a: '${U}'}\n" + service("user: a")
    its = stack(text)

    assert ["token"] == its.generated_secrets
    assert {"version", "services"} == set(its.documents[0])


def test_a_convention_that_is_none_is_told(stack):
    told = error_of(stack, "x-runbook: {secrets: [a]}\n" + service("user: a"))

    assert "0.yml:1: expected x-runbook to have variables and generated_secrets only" in told


# --- shapes


def test_all_errors_are_told_at_once_with_their_lines(stack):
    text = """services:
  one:
  two:
    image: [x]
    comand: a
    mem_limit: 5m
    ports: {80: 80}
    healthcheck: {interval: 30}
    environment: [A, {B: 1}]
    command: [2024-05-01]
volume: {}
version: "2.4"
"""
    told = error_of(stack, text.replace("{80: 80}", "{'80': 80}"))

    assert [
        "2: expected a mapping as services.one, saw nothing",
        "4: expected a text as services.two.image, saw a list",
        "5: expected a key of Compose v3 in services.two, saw comand; did you mean command?",
        "6: expected a key of Compose v3 in services.two, saw mem_limit; "
        "use deploy.resources.limits.memory",
        "7: expected a list as services.two.ports, saw a mapping",
        "8: expected a duration such as 10s as services.two.healthcheck.interval, saw an integer",
        "9: expected a text as services.two.environment.1, saw a mapping",
        "10: expected a text as services.two.command.0, saw a date (quote it to make it a text)",
        "11: expected a key of Compose v3 in the file, saw volume; did you mean volumes?",
        "12: expected version 3 to 3.13, saw '2.4'",
    ] == [line.partition("0.yml:")[2] for line in told.splitlines()[1:-1]]


def test_services_must_be_a_mapping(stack):
    assert "0.yml:1: expected a mapping as services, saw a list" in error_of(
        stack, "services:\n  - {name: one, image: x}\n"
    )


def test_null_is_taken_where_docker_takes_it(stack):
    text = service("deploy:\n    networks: {n: }\n    labels: {a: }") + "networks: {n: }\n"
    its = stack(text + "volumes: {v: }\n")

    assert "deploy" not in its.services["one"]
    assert ({"n": {}}, {}) == (its.networks, its.external("volumes"))
    assert ["1"] == list(declared_services(its)["replicas"])


def test_a_label_may_have_no_value(stack):
    its = stack(
        service("deploy: {labels: [com.example.flag, runbook.replicas=live]}"),
    )
    assert keeps_replicas(its.services["one"])


@pytest.mark.parametrize("mode", ["global", "replicated-job", "global-job"])
def test_only_a_replicated_service_keeps_its_replicas(stack, mode):
    its = stack(service(f"deploy: {{mode: {mode}, labels: {{runbook.replicas: live}}}}"))

    assert not keeps_replicas(its.services["one"])


@pytest.mark.parametrize(
    ("deploy", "replicas"),
    [
        ("{}", "1"),
        ("{mode: replicated, replicas: 5}", "5"),
        ("{mode: global}", "global"),
        ("{mode: replicated-job, replicas: 3}", "one run on 3"),
        ("{mode: global-job}", "one run on every node"),
    ],
)
def test_the_table_says_how_many_run(stack, deploy, replicas):
    assert [replicas] == list(declared_services(stack(service(f"deploy: {deploy}")))["replicas"])


@pytest.mark.parametrize(
    ("file", "newer", "version"),
    [
        ("", "", "3.9"),
        ('version: "3"\n', "", "3.9"),
        ('version: "3.7"\n', "", "3.7"),
        ("", "healthcheck: {test: a, start_interval: 1s}", "3.12"),
        ("", "oom_score_adj: 1", "3.13"),
        ("", "networks: {n: {driver_opts: {a: b}}}", "3.13"),
    ],
)
def test_a_version_is_written_that_an_old_docker_knows(stack, file, newer, version):
    text = render(stack(f"{file}services: {{one: {{image: x, {newer}}}}}"), {}, {})[0]

    assert version == yaml.safe_load(text)["version"]


# --- names and places


NAMED = """services:
  one:
    image: x
secrets:
  token: {external: {name: real_token}}
  stage: {external: true, name: "${STAGE:-prod}_token"}
  mine: {file: ./x}
networks:
  public: {external: true}
  own: {}
volumes:
  data: {external: true, name: tiles}
"""


def test_what_must_exist_is_listed_by_its_real_names(stack):
    its = stack(NAMED)

    assert ["real_token", "prod_token"] == list(its.external("secrets").values())
    assert {"public": "public"} == its.external("networks")
    assert {"data": "tiles"} == its.external("volumes")


def test_the_place_of_a_key_is_that_in_the_last_file_that_has_it(stack, tmp_path):
    (tmp_path / "over.yml").write_text("services:\n  one: {user: a}\n")
    its = stack(service("tty: true"), overlays=[str(tmp_path / "over.yml")])

    assert f"{its.path}:4" == its.where("services", "one", "tty")
    assert f"{tmp_path}/over.yml:2" == its.where("services", "one", "user", "name")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("services.one.ports.0 Does not match format 'ports'", 5),
        ("services.one.ports[1].target must be a integer", 6),
        ("service one: undefined network \"n\"", 2),
        ('network "public" is declared as external, but could not be found', 8),
        ("secrets.a.b must be a mapping", 10),
    ],
)  # fmt: skip
def test_an_error_of_docker_gets_its_line(stack, error, line):
    text = """services:
  one:
    image: x
    ports:
      - 80:80
      - {target: 81}
networks:
  public: {external: true}
secrets:
  a.b: {file: x}
"""
    its = stack(text)

    assert f"{its.path}:{line}: {error}" == its.explain(error)


def test_an_error_without_a_place_stays_as_it_is(stack):
    assert "no such host" == stack(service("user: a")).explain("no such host")


# --- several files


UNDER = """services:
  one:
    image: a
    environment: [A=1, B=2]
    command: [a, b]
    dns: 1.1.1.1
    ports: ["80:80", "81:81"]
    volumes: ["data:/a", "more:/b"]
    secrets: [s]
    networks: [n]
    logging: {driver: a, options: {x: y}}
    deploy: {replicas: 2, labels: {a: b}, placement: {constraints: [a==b]}}
networks: {n: {driver: overlay}, m: }
"""
OVER = """services:
  one:
    image: b
    environment: {B: 3, C: 4}
    command: [c]
    dns: [2.2.2.2]
    ports: ["80:80", "82:81"]
    volumes: ["other:/a"]
    secrets: [{source: s, target: q}, t]
    networks: {m: {aliases: [q]}}
    logging: {driver: b}
    deploy: {replicas: 0, labels: [c=d], placement: {constraints: [c==d]}}
  two: {image: c}
networks: {n: {attachable: true}}
"""


def test_several_files_are_merged_as_docker_merges_them(stack):
    its = stack(UNDER, OVER)

    assert {
        "image": "b",
        "environment": {"A": "1", "B": 3, "C": 4},
        "command": ["c"],
        "dns": ["1.1.1.1", "2.2.2.2"],
        "ports": ["80:80", "81:81", "82:81"],
        "volumes": ["other:/a", "more:/b"],
        "secrets": [{"source": "s", "target": "q"}, "t"],
        "networks": {"n": None, "m": {"aliases": ["q"]}},
        "logging": {"driver": "b"},
        "deploy": {
            "replicas": 0,
            "labels": {"a": "b", "c": "d"},
            "placement": {"constraints": ["a==b", "c==d"]},
        },
    } == its.services["one"]
    assert {"one", "two"} == set(its.services)
    assert {"n": {"attachable": True}, "m": {}} == its.networks


@pytest.mark.parametrize(
    ("under", "over", "expected"),
    [
        ('["8080:80"]', '["8080:81"]', ["8080:81"]),
        ('["8080:80"]', "[{target: 80, published: 8080}]", [{"target": 80, "published": 8080}]),
        ('["127.0.0.1:80:80", 81]', '["80:80/udp"]', ["80:80/udp", 81]),
        ('["8000-8001:80-81", "90"]', '["8000-8001:90-91", "[::1]:83:1"]',
         ["8000-8001:90-91", "90", "[::1]:83:1"]),
        ('["90"]', '["91", "127.0.0.1::92"]', ["127.0.0.1::92"]),
    ],
)  # fmt: skip
def test_a_later_file_changes_what_a_port_leads_to(stack, under, over, expected):
    its = stack(service(f"ports: {under}"), service(f"ports: {over}"))

    assert expected == its.services["one"]["ports"]


def test_each_file_stays_a_document_for_docker(stack):
    first, second = [yaml.safe_load(text) for text in render(stack(UNDER, OVER), {}, {})]

    assert ["A=1", "B=2"] == first["services"]["one"]["environment"]
    assert {"B": 3, "C": 4} == second["services"]["one"]["environment"]
    assert "3.9" == first["version"] == second["version"]


def test_all_files_get_the_version_that_one_needs(stack):
    texts = [service("oom_score_adj: 1"), service("user: a"), 'version: "3"\nvolumes: {}\n']
    rendered = [yaml.safe_load(text) for text in render(stack(*texts), {}, {})]

    assert ["3.13", "3.13", "3.13"] == [document["version"] for document in rendered]


def test_a_large_file_is_no_trouble(stack):
    line = '  s%d:\n    image: x\n    command: ["sh", "-c", "echo it is %d; sleep infinity"]\n'
    its = stack("services:\n" + "".join(line % (n, n) for n in range(1200)))

    assert 1200 == len(yaml.load(render(its, {}, {})[0], yaml.CSafeLoader)["services"])


def test_a_file_of_values_that_is_no_text_is_refused_without_its_values(stack, tmp_path):
    (tmp_path / "values.env").write_bytes(b"A=hunter2\xff\n")
    with pytest.raises(ParameterError, match="it is not UTF-8") as told:
        stack(service("user: a"), env_file=str(tmp_path / "values.env"))
    assert told.value.__cause__ is None


@pytest.mark.parametrize("value", ["[" * 3000 + "]" * 3000, "{a: " * 3000 + "}" * 3000])
def test_levels_are_counted_before_they_are_entered(stack, value):
    assert "100 levels" in error_of(stack, service("user: a") + f"\nx-a: {value}\n")


def test_a_number_of_any_length_is_read(stack):
    read = stack(service("labels: {long: " + "9" * 5000 + "}"))
    assert "9" * 5000 == next(iter(read.services.values()))["labels"]["long"]
    text = service('deploy: {replicas: "${N}"}')
    assert "expected an integer" in error_of(stack, text, variables=["N=" + "9" * 5000])


def test_a_value_of_the_file_is_in_no_table_and_no_record(stack, tmp_path):
    (tmp_path / "values.env").write_text("A=hunter2\n")
    read = stack(
        service("user: ${A}").replace("image: x", "image: x:${A}"),
        env_file=str(tmp_path / "values.env"),
    )
    shown = declared_services(read).to_string() + declared_variables(read).to_string() + repr(read)
    assert "hunter2" not in shown


def test_a_duration_of_any_length_is_refused_at_once(stack):
    assert "a duration" in error_of(stack, service(f"stop_grace_period: '{'1' * 50_000}x'"))
    assert "a duration" in error_of(stack, service(f"stop_grace_period: '{'1s' * 50_000}x'"))
