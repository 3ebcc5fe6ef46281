"""
IAM's evaluation: wildcards, conditions, and that a deny wins.
"""

import pytest

from lab.core.errors import LabError
from lab.iam.policy import Verdict, evaluate, statements_of

STOP = ("ec2:StopInstances", "arn:aws:ec2:us-east-1:1:instance/i-1")
ALLOW = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}


def verdict(*statements, context=None, ask=STOP):
    return evaluate(statements, *ask, context or {})


def conditioned(operator, key, value):
    return {**ALLOW, "Condition": {operator: {key: value}}}


@pytest.mark.parametrize(
    "statement",
    [
        ALLOW,
        {**ALLOW, "Action": ["s3:*", "EC2:stopinstances"]},
        {**ALLOW, "Action": "ec2:Stop?nstances"},
        {**ALLOW, "Resource": "arn:aws:ec2:*:*:instance/*"},
        {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"},
        {"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::*"},
    ],
)
def test_a_statement_that_applies_allows(statement):
    """By action, whose case does not matter, and by resource."""
    assert verdict(statement) is Verdict.ALLOWED


@pytest.mark.parametrize(
    "statement",
    [
        {**ALLOW, "Action": "ec2:Start*"},
        {**ALLOW, "Resource": "arn:aws:ec2:*:*:volume/*"},
        {**ALLOW, "Resource": "arn:aws:ec2:*:*:INSTANCE/*"},
        {"Effect": "Allow", "NotAction": "ec2:*", "Resource": "*"},
    ],
)
def test_what_nothing_allows_is_not_allowed(statement):
    """Silence is no permission."""
    assert verdict(statement) is Verdict.NOT_ALLOWED


def test_a_deny_wins_wherever_it_stands():
    """Before or after the statement that allows."""
    deny = {**ALLOW, "Effect": "Deny"}
    assert verdict(deny, ALLOW) is Verdict.DENIED
    assert verdict(ALLOW, deny) is Verdict.DENIED


@pytest.mark.parametrize(
    ("operator", "wanted", "seen", "holds"),
    [
        ("StringEquals", "tiles", "tiles", True),
        ("StringEquals", ["a", "tiles"], "tiles", True),
        ("StringEquals", "tiles", "other", False),
        ("StringEquals", "tiles", None, False),
        ("StringEqualsIfExists", "tiles", None, True),
        ("StringEqualsIgnoreCase", "TILES", "tiles", True),
        ("StringNotEquals", "tiles", "other", True),
        ("StringNotEquals", "tiles", None, True),
        ("StringNotEqualsIgnoreCase", "TILES", "tiles", False),
        ("StringLike", "t2.*", "t2.micro", True),
        ("StringNotLike", "t2.*", "t2.micro", False),
        ("Bool", True, "true", True),
        ("NumericLessThanEquals", "20", "8", True),
        ("NumericGreaterThan", "20", "8", False),
        ("Null", "true", None, True),
        ("Null", "true", "seen", False),
        ("ForAllValues:StringEquals", ["a", "b"], ["a"], True),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "c"], False),
        ("ForAnyValue:StringEquals", ["a"], ["a", "c"], True),
        ("ForAnyValue:StringEquals", ["a"], ["b", "c"], False),
    ],
)
def test_a_condition_holds_or_not(operator, wanted, seen, holds):
    """Operators, several values, absent keys; the key's case does not matter."""
    context = {} if seen is None else {"ec2:resourcetag/Project": seen}
    statement = conditioned(operator, "ec2:ResourceTag/project", wanted)
    expected = Verdict.ALLOWED if holds else Verdict.NOT_ALLOWED
    assert expected is verdict(statement, context=context)


@pytest.mark.parametrize(
    ("operator", "wanted", "tag", "seen", "holds"),
    [
        ("StringEquals", "${aws:PrincipalTag/team}", "tiles", "tiles", True),
        ("StringEquals", "${aws:principaltag/Team}", "tiles", "tiles", True),
        ("StringEquals", "${aws:PrincipalTag/team}", "tiles", "other", False),
        ("StringEquals", "${aws:PrincipalTag/team}", None, "", False),
        ("StringEquals", "${aws:PrincipalTag/team, 'tiles'}", None, "tiles", True),
        ("StringLike", "${aws:PrincipalTag/team}-*", "tiles", "tiles-1", True),
        ("StringLike", "${aws:PrincipalTag/team}-?", "tiles", "tiles-12", False),
        ("StringLike", "${aws:PrincipalTag/team}", "*", "everything", False),
        ("StringLike", "${aws:PrincipalTag/team}", "*", "*", True),
        ("StringLike", "${aws:PrincipalTag/team}", "$?", "$?", True),
        ("StringEquals", "${*}", None, "*", True),
        ("StringNotEquals", "${aws:PrincipalTag/team}", "tiles", "other", True),
    ],
)
def test_a_variable_is_its_value_literally(operator, wanted, tag, seen, holds):
    """Without a value it matches nothing; a value of `*` is a star and not everything."""
    context = {"aws:ResourceTag/project": seen}
    context |= {} if tag is None else {"aws:PrincipalTag/team": tag}
    statement = conditioned(operator, "aws:ResourceTag/project", wanted)
    expected = Verdict.ALLOWED if holds else Verdict.NOT_ALLOWED
    assert expected is verdict(statement, context=context)


def test_a_resource_may_be_a_variable():
    statement = {**ALLOW, "Resource": "arn:aws:ec2:*:*:instance/${aws:PrincipalTag/mine}"}
    assert verdict(statement, context={"aws:PrincipalTag/mine": "i-1"}) is Verdict.ALLOWED
    assert verdict(statement, context={"aws:PrincipalTag/mine": "*"}) is Verdict.NOT_ALLOWED
    assert verdict(statement) is Verdict.NOT_ALLOWED


def test_an_operator_that_we_cannot_evaluate_is_an_error_and_no_guess():
    """A rehearsal that allows too much would be worthless."""
    with pytest.raises(LabError, match="DateGreaterThan"):
        verdict(conditioned("DateGreaterThan", "aws:CurrentTime", "2030-01-01T00:00:00Z"))


def test_a_single_statement_needs_no_list():
    """Both forms are valid policies."""
    assert [ALLOW] == statements_of({"Statement": ALLOW}) == statements_of({"Statement": [ALLOW]})
