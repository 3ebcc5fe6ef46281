"""
The threat model names what keeps each claim; a file that is gone keeps none.
"""

import re

from tests.places import ROOT

PAGE = (ROOT / "SECURITY.md").read_text()


def test_every_file_that_the_threat_model_names_is_there():
    named = re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", PAGE)
    assert len(named) > 15
    assert [] == [path for path in named if not (ROOT / path).exists()]


def test_the_readme_leads_to_it():
    assert "(SECURITY.md)" in (ROOT / "README.md").read_text()


def test_it_is_one_page():
    assert len(PAGE.splitlines()) < 80
