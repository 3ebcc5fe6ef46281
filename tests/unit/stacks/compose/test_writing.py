"""
What is written is read again.
"""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from runbook_lib.stacks.compose.documents import load_document
from runbook_lib.stacks.compose.scalars import Timestamp
from runbook_lib.stacks.compose.writing import written

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=20), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=20), VALUES))
@settings(max_examples=50, deadline=None)
@example({"a": "\x85\u2028\ufeff\x00\t\n\\\"'😀", "b": 1e22, "c": 1e-7, "d": "$$x", "e": [[], {}]})
def test_what_is_written_is_read_again(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("written") / "stack.yml"
    path.write_text(written(content))

    def undoubled(value):
        if isinstance(value, dict):
            return {key: undoubled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [undoubled(item) for item in value]
        return value.replace("$$", "$") if isinstance(value, str) else value

    assert content == undoubled(load_document(path).content)


def test_every_text_is_written_in_quotes():
    assert '"a": "y"\n"b":\n  - "1e3"\n  - 2024-05-01\n' == written(
        {"a": "y", "b": ["1e3", Timestamp("2024-05-01")]}
    )
