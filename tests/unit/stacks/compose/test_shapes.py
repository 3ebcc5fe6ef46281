"""
What Compose v3 does not allow, told with its line.
"""

from tests.stack_texts import error_of, service


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


def test_a_duration_of_any_length_is_refused_at_once(stack):
    assert "a duration" in error_of(stack, service(f"stop_grace_period: '{'1' * 50_000}x'"))
    assert "a duration" in error_of(stack, service(f"stop_grace_period: '{'1s' * 50_000}x'"))
