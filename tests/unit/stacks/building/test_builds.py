"""
What is built for a stack, under which name, and what changes its tag.
"""

import pytest
from docker.utils.build import match_tag
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbook_lib.core.errors import NotFoundError, ParameterError, RunbookError
from runbook_lib.stacks.building.builds import builds
from runbook_lib.stacks.building.references import read_reference
from runbook_lib.stacks.compose.reading import read
from runbook_lib.stacks.compose.rendering import render
from runbook_lib.stacks.images import references

DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def stack_of(tmp_path):
    """Write the services, with a context in each of the folders a and b."""

    def write(services, **files):
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / "Dockerfile").write_text(
                f"FROM scratch AS small\nLABEL it={folder}\n"
            )
        for name, text in files.items():
            (tmp_path / name.replace("__", "/")).write_text(text)
        lines = [f"  {name}: {spec}" for name, spec in services.items()]
        (tmp_path / "stack.yml").write_text("\n".join(["services:", *lines, ""]))
        return read(tmp_path / "stack.yml")

    return write


def test_two_images_of_one_registry_with_a_port_are_two(stack_of):
    built = builds(
        stack_of(
            {
                "a": '{build: ./a, image: "127.0.0.1:5000/alpha:1"}',
                "b": '{build: ./b, image: "127.0.0.1:5000/beta"}',
            }
        )
    )

    contexts = {name: build.context.name for name, build in built.items()}
    assert {"127.0.0.1:5000/alpha:1": "a", "127.0.0.1:5000/beta": "b"} == contexts
    assert [
        f"10.0.0.4:5001/127.0.0.1-5000/alpha:1-{built['127.0.0.1:5000/alpha:1'].tag}",
        f"10.0.0.4:5001/127.0.0.1-5000/beta:{built['127.0.0.1:5000/beta'].tag}",
    ] == list(references(built, "10.0.0.4:5001").values())


def test_two_tags_of_one_name_are_two_images(stack_of):
    built = builds(
        stack_of(
            {"a": '{build: ./a, image: "me/app:web"}', "b": '{build: ./b, image: "me/app:worker"}'}
        )
    )

    assert ["me/app:web", "me/app:worker"] == list(built)
    assert 2 == len(set(references(built, "r:1").values()))


def test_a_plain_name_is_published_as_it_is(stack_of):
    built = builds(stack_of({"a": "{build: ./a, image: geo-diff}"}))

    tag = built["geo-diff"].tag
    assert {"geo-diff": f"172.31.0.4:5001/geo-diff:{tag}"} == references(built, "172.31.0.4:5001")
    assert {"geo-diff": f"geo-diff:{tag}"} == references(built, "")


@pytest.mark.parametrize(
    "image",
    ["Example.COM/a/b:V1", "[fe80::1]:5000/x", "a__b/c--d", "xn--n3h.com/x", "a:" + "T" * 128],
)
def test_what_is_published_is_a_reference_that_the_sdk_takes_too(stack_of, image):
    published = [
        *references(builds(stack_of({"a": f'{{build: ./a, image: "{image}"}}'})), "r:1").values()
    ]

    assert match_tag(published[0])
    assert published[0] == str(read_reference(published[0]))


NAMES = st.from_regex(
    r"((localhost|[a-c]\.[a-c]|a-5|A\.b)(:5)?/)?(a|a-5|localhost-5|a\.b)(/[ab])?(:[abT]{1,2})?",
    fullmatch=True,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(NAMES, min_size=2, max_size=6))
def test_distinct_images_have_distinct_references(stack_of, names):
    """Property: also where they come from the same sources."""
    services = {f"s{i}": f'{{build: ./a, image: "{name}"}}' for i, name in enumerate(names)}

    published = references(builds(stack_of(services)), "10.0.0.4:5001")
    assert len({read_reference(name) for name in names}) == len(set(published.values()))
    assert all(match_tag(reference) for reference in published.values())


def test_an_image_that_another_service_builds_is_used_by_all_who_name_it(stack_of):
    stack = stack_of(
        {
            "a": "{build: ./a, image: me/app}",
            "b": '{image: "me/app:latest"}',
            "c": '{image: "docker.io/me/app"}',
            "d": '{image: "me/app:other"}',
        }
    )
    images = references(builds(stack), "r:1")

    rendered = "".join(render(stack, images, {}))
    assert 1 == len(set(images.values()))
    assert 3 == rendered.count(images["me/app"])
    assert 1 == rendered.count("me/app:other")


def test_an_image_without_a_name_is_named_for_its_service_in_lower_case(stack_of):
    stack = stack_of({"WebApp": "{build: ./a}"})

    assert ["webapp"] == list(builds(stack))
    assert "r:1/webapp:" in "".join(render(stack, references(builds(stack), "r:1"), {}))


def test_an_image_without_a_name_is_not_taken_for_one_of_a_registry(stack_of):
    with pytest.raises(ParameterError, match=r"(?s)'redis' builds.*'cache' runs.*give 'redis'"):
        builds(stack_of({"redis": "{build: ./a}", "cache": "{image: redis}"}))


def test_upper_case_in_a_name_that_was_given_is_refused(stack_of):
    with pytest.raises(ParameterError, match=r"(?s)service 'a'.*lower case, not 'App'"):
        builds(stack_of({"a": "{build: ./a, image: me/App}"}))


def test_an_image_that_is_built_has_no_digest_yet(stack_of):
    with pytest.raises(ParameterError, match=r"(?s)'a' builds its image.*next: image: me/app$"):
        builds(stack_of({"a": f'{{build: ./a, image: "me/app@{DIGEST}"}}'}))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("./a", "./b"),
        ("./a", "{context: ./a, target: small}"),
        ("./a", "{context: ./a, args: {V: 2}}"),
        ("./a", "{context: ./a, dockerfile: ../b/Dockerfile}"),
        ("./a", "{context: ./a, dockerfile_inline: FROM scratch}"),
    ],
)
def test_one_name_built_from_two_sources_names_both_services(stack_of, one, two):
    services = {
        "first": f"{{build: {one}, image: me/app}}",
        "second": f'{{build: {two}, image: "me/app:latest"}}',
    }
    with pytest.raises(ParameterError, match="'first' and 'second' both build the image me/app"):
        builds(stack_of(services))


def test_all_that_is_wrong_is_said_at_once(stack_of):
    services = {
        "x": "{build: ./nowhere, image: x}",
        "y": "{build: {context: ./a, privileged: true, ssh: [default]}, image: me/Y}",
        "z": "{build: {context: ./a, privileged: true, ssh: [default]}, image: z}",
    }
    with pytest.raises(ParameterError) as caught:
        builds(stack_of(services))
    for words in ("no such folder", "'Y'", "build.privileged", "build.ssh"):
        assert words in str(caught.value)


def _tag(stack):
    (build,) = builds(stack).values()
    return build.tag


@pytest.mark.parametrize(
    "changed",
    [
        "dockerfile: Dockerfile.dev",
        "target: small",
        "args: {V: 2}",
        "args: [V=3]",
        "labels: {a: b}",
        "network: none",
        "shm_size: 128m",
        "extra_hosts: ['db=10.0.0.1']",
        "cache_from: ['me/app:old']",
        "dockerfile_inline: FROM scratch",
    ],
)
def test_every_key_changes_the_tag(stack_of, changed):
    more = {"a__Dockerfile.dev": "FROM scratch AS small\nLABEL it=a\n"}
    before = stack_of({"a": "{build: {context: ./a}, image: me/app}"}, **more)
    tag = _tag(before)
    after = stack_of({"a": f"{{build: {{context: ./a, {changed}}}, image: me/app}}"})

    assert tag != _tag(after)
    assert _tag(after) == _tag(after)


def test_the_keys_become_arguments_of_the_sdk(stack_of):
    keys = (
        "target: small, args: [V=2, 'X=a=b', Y=], labels: {a: true}, network: host, "
        "shm_size: 1g, extra_hosts: {db: 10.0.0.1}, cache_from: ['me/app:1'], no_cache: false"
    )
    (build,) = builds(stack_of({"a": f"{{build: {{context: ./a, {keys}}}, image: x}}"})).values()

    assert {
        "target": "small",
        "buildargs": {"V": "2", "X": "a=b", "Y": ""},
        "labels": {"a": "true"},
        "network_mode": "host",
        "shmsize": 1 << 30,
        "extra_hosts": ["db:10.0.0.1"],
        "cache_from": ["me/app:1"],
    } == build.options


def test_an_argument_without_a_value_is_refused(stack_of):
    with pytest.raises(
        ParameterError, match=r"(?s)stack\.yml:2: .build\.args.*no value to V.*V=value"
    ):
        builds(stack_of({"a": "{build: {context: ./a, args: [V]}, image: x}"}))


@pytest.mark.parametrize(
    ("args", "found"),
    [
        ("[V, W=, X=1]", {"V": "2", "W": "", "X": "1"}),
        ("{V: , W: '', X: '${V}0'}", {"V": "2", "W": "", "X": "20"}),
    ],
)
def test_an_argument_without_a_value_takes_that_of_its_variable(stack_of, args, found):
    path = stack_of({"a": "{build: {context: ./a, args: [V=1]}, image: x}"}).path
    path.write_text(path.read_text().replace("[V=1]", args))

    (build,) = builds(read(path, variables=["V=2", "W=3"])).values()
    assert {"buildargs": found} == build.options


@pytest.mark.parametrize(
    ("build", "words"),
    [
        ("{context: 'https://github.com/a/b.git#main'}", "not a folder"),
        ("{context: ./a, shm_size: much}", "not a size"),
        ("{context: ./a, extra_hosts: [db]}", "extra_hosts"),
        ("{context: ./a, args: 3}", "neither a mapping nor a list"),
        ("{context: ./a, cache_from: ['type=gha']}", "no image"),
        ("{context: ./a, dockerfile: D, dockerfile_inline: FROM scratch}", "keep one"),
        ("{context: ./a, additional_contexts: {b: ./b}}", "additional_contexts"),
        ("{context: ./a, platforms: [linux/arm64]}", "platforms"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(stack_of, build, words):
    with pytest.raises(ParameterError, match=words):
        builds(stack_of({"a": f"{{build: {build}, image: x}}"}))


@pytest.mark.parametrize("context", ["./nowhere", "./stack.yml", "{dockerfile: D, context: ./a}"])
def test_a_missing_folder_or_dockerfile_is_named_with_its_service(stack_of, context):
    with pytest.raises(NotFoundError, match=r"service 'a' of .*stack\.yml builds from"):
        builds(stack_of({"a": f"{{build: {context}, image: x}}"}))


def test_a_dockerfile_in_lower_case_is_found_as_docker_finds_it(stack_of, tmp_path):
    stack = stack_of({"a": "{build: ./a, image: x}"})
    (tmp_path / "a" / "Dockerfile").rename(tmp_path / "a" / "dockerfile")

    assert "dockerfile" == builds(stack)["x"].dockerfile


def test_a_stack_of_the_project_is_built_from_the_folder_of_its_file():
    assert {"geo-diff", "rabbitmq"} == set(builds(read("stacks/geo-diff/work.yml")))


@pytest.mark.parametrize(
    "line",
    [
        "RUN --mount=type=cache,target=/root/.cache pip install x",
        "run \\\n  --network=none --mount=type=bind true",
        "COPY --chown=1 --chmod=644 a b",
        "ADD --checksum=sha256:0 https://example.com/a /",
        "COPY <<EOF /etc/a",
        "RUN bash <<-'eof'",
        "FROM --platform=$BUILDPLATFORM scratch",
        "ARG TARGETARCH",
    ],
)
def test_what_only_buildkit_builds_is_refused_before_anything_is_built(stack_of, tmp_path, line):
    stack = stack_of({"a": "{build: ./a, image: x}"})
    (tmp_path / "a" / "Dockerfile").write_text(f"FROM scratch\n\n{line}\n")

    with pytest.raises(ParameterError, match=r"needs BuildKit.*a/Dockerfile, line 3") as caught:
        builds(stack)
    assert line.splitlines()[0].strip() in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "# RUN --mount=type=cache true",
        "RUN x=$((1 <<2)); cat <file",
        "RUN curl --network=x",
        "ARG TARGETARCH=amd64",
        "COPY --chown=1 --from=a b c",
        "FROM --platform=linux/amd64 scratch",
    ],
)
def test_what_any_builder_builds_is_taken(stack_of, tmp_path, line):
    stack = stack_of({"a": "{build: ./a, image: x}"})
    (tmp_path / "a" / "Dockerfile").write_text(f"FROM scratch\n{line}\n")

    assert ["x"] == list(builds(stack))


def test_an_argument_of_the_platform_may_be_given(stack_of, tmp_path):
    stack = stack_of({"a": "{build: {context: ./a, args: {TARGETARCH: amd64}}, image: x}"})
    (tmp_path / "a" / "Dockerfile").write_text("FROM scratch\nARG TARGETARCH\n")

    assert ["x"] == list(builds(stack))


def test_an_image_upon_one_that_the_stack_builds_too_is_refused(stack_of, tmp_path):
    stack = stack_of({"a": "{build: ./a, image: me/base}", "b": "{build: ./b, image: me/app}"})
    (tmp_path / "b" / "Dockerfile").write_text("FROM me/base:latest AS base\nFROM base\n")

    with pytest.raises(ParameterError, match="'b' is built upon me/base"):
        builds(stack)


def test_a_stage_may_have_the_name_of_an_image(stack_of, tmp_path):
    stack = stack_of({"a": "{build: ./a, image: base}", "b": "{build: ./b, image: app}"})
    (tmp_path / "b" / "Dockerfile").write_text("FROM scratch AS base\nFROM base\n")

    assert ["base", "app"] == list(builds(stack))


def test_a_target_that_the_dockerfile_lacks_is_refused_with_those_it_has(stack_of):
    with pytest.raises(ParameterError, match=r"(?s)'large', no stage of Dockerfile.*stages: small"):
        builds(stack_of({"a": "{build: {context: ./a, target: large}, image: x}"}))


@pytest.mark.parametrize(
    "text",
    [
        "  a: {image: x, build: {context: ., args: {T: '${T}'}}}\n"
        "  b: {image: x, build: {context: ., args: {T: other}}}\n",
        "  a: {image: 'x:${T}!'}\n",
        "  a: {image: x, build: './${T}'}\n",
    ],
)
def test_a_value_that_is_not_shown_is_in_no_error_of_a_build(tmp_path, text):
    (tmp_path / "Dockerfile").write_text("FROM y\nARG T\n")
    (tmp_path / "values.env").write_text("T=hunter2\n")
    (tmp_path / "stack.yml").write_text("services:\n" + text)
    stack = read(tmp_path / "stack.yml", env_file=str(tmp_path / "values.env"))

    with pytest.raises(RunbookError) as told:
        builds(stack)
    assert ("hunter2" in str(told.value), "(not shown)" in str(told.value)) == (False, True)
