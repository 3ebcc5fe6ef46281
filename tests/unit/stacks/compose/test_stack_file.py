"""
What a stack requires, and where its files say what.
"""

import pytest

from tests.stack_texts import service

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

    assert ["real_token", "prod_token"] == its.external_secrets
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
