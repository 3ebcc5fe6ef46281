"""
A stack of given texts.
"""

import pytest

from runbook_lib.stacks.compose.reading import read


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
