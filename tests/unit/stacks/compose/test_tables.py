"""
What a stack file declares, as tables.
"""

import pytest

from runbook_lib.stacks.compose.tables import declared_services, declared_variables
from tests.stack_texts import service


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


def test_a_value_of_the_file_is_in_no_table_and_no_record(stack, tmp_path):
    (tmp_path / "values.env").write_text("A=hunter2\n")
    read = stack(
        service("user: ${A}").replace("image: x", "image: x:${A}"),
        env_file=str(tmp_path / "values.env"),
    )
    shown = declared_services(read).to_string() + declared_variables(read).to_string() + repr(read)
    assert "hunter2" not in shown
