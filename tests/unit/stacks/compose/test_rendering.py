"""
Which services keep the replicas that they have.
"""

import pytest

from runbook_lib.stacks.compose.rendering import keeps_replicas
from tests.stack_texts import service


def test_a_label_may_have_no_value(stack):
    its = stack(
        service("deploy: {labels: [com.example.flag, runbook.replicas=live]}"),
    )
    assert keeps_replicas(its.services["one"])


@pytest.mark.parametrize("mode", ["global", "replicated-job", "global-job"])
def test_only_a_replicated_service_keeps_its_replicas(stack, mode):
    its = stack(service(f"deploy: {{mode: {mode}, labels: {{runbook.replicas: live}}}}"))

    assert not keeps_replicas(its.services["one"])
