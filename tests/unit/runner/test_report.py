"""
The report: stands alone, names what failed, and asks for no more rights than were used.
"""

import json
import re

import pandas as pd
import pytest
from hypothesis import given, settings

from runbook_lib.core.tables import frame_html
from runbook_lib.runner import report
from runbook_lib.runner.cleaning import clean
from runbook_lib.runner.record import FAILED, PASSED, Page, Run
from tests.hostile import WORST, Seen, hostile_texts


@pytest.fixture
def page(tmp_path):
    check = {"name": "all <ready>", "expected": "6", "actual": "4", "passed": False}
    change = {"what": "node", "name": "worker-1", "action": "joined"}
    pages = [
        Page(
            "01_x",
            "Instances",
            PASSED,
            3.2,
            changes=[change],
            calls={"ec2:RunInstances": 2},
            notes=[
                {"what": "the map", "text": "http://192.0.2.7:8080"},
                {"what": "a token", "text": "ssh ubuntu@192.0.2.7"},
            ],
        ),
        Page("02_y", "Groups", FAILED, 1.0, "Prove", "expected 6, saw 4", checks=[check]),
        Page("03_z", "Docker"),
    ]
    run = Run(tmp_path, "params/lab.yml", ["batch=3"], {"batch": 3}, pages, verdict=FAILED)
    bodies = {
        "01_x": '<p>the first body</p><a href="#02_y">02</a> <a href="#91_z">91</a>',
        "02_y": "<p>the second body</p>",
    }
    return report.write(run, bodies).read_text()


def test_it_says_first_how_the_run_ended_and_where(page):
    assert '<p class="verdict">failed</p>' in page
    assert "02_y, under “Prove”" in page
    assert "4; expected 6" in page
    assert page.index("expected 6, saw 4") < page.index("<h2>Notebooks</h2>")


def test_every_notebook_has_its_row_and_the_executed_ones_their_pages(page):
    assert '<a href="#01_x">01 Instances</a>' in page
    assert "not run" in page
    assert "the first body" in page


def test_what_a_person_takes_away_stands_before_the_notebooks(page):
    place = page.index("What you have now")
    assert page.index("http://192.0.2.7:8080", place) < page.index("<h2>Notebooks</h2>")


def test_an_address_to_use_is_a_link_and_a_command_is_text(page):
    assert '<a href="http://192.0.2.7:8080">http://192.0.2.7:8080</a>' in page
    assert "<code>ssh ubuntu@192.0.2.7</code>" in page


def test_a_run_without_checks_has_no_table_of_them(tmp_path):
    run = Run(tmp_path, "params/lab.yml", [], {}, [Page("01_x", "Instances", PASSED)])
    assert "<h2>Checks" not in report.write(run, {}).read_text()


def test_links_lead_to_notebooks_of_this_report_only(page):
    assert '<a href="#02_y">02</a> 91' in page


def test_what_notebooks_say_is_text_not_markup(page):
    assert "all &lt;ready&gt;" in page


def test_it_fetches_nothing(page):
    assert [] == re.findall(r"<script|<link|src=[\"']?http|url\(|@import", page)


def test_the_policy_allows_the_calls_made_and_tagging_on_create():
    calls = {"ec2:RunInstances": 2, "s3:ListObjectsV2": 1, "sts:GetCallerIdentity": 1}
    (statement,) = json.loads(report.policy(calls))["Statement"]
    assert ["ec2:CreateTags", "ec2:RunInstances", "s3:ListBucket"] == statement["Action"]


def test_a_notebook_is_shown_with_folded_code_pictures_and_links_inside(tmp_path):
    picture = {"image/png": "iVBORw0KGgo=", "text/html": "<script src='https://x/y.js'></script>"}
    outputs = [{"output_type": "display_data", "metadata": {}, "data": picture}]
    text = "# 05 Swarm\n[04](04_tiles.ipynb)\n```mermaid\nflowchart LR\n```\n"
    cells = [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": text},
        {
            "cell_type": "code",
            "id": "b",
            "metadata": {},
            "source": "1 + 1",
            "execution_count": 1,
            "outputs": outputs,
        },
    ]
    path = tmp_path / "05.ipynb"
    path.write_text(
        json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    body = report.notebook_body(path)
    assert '<details class="code">' in body
    assert "data:image/png;base64,iVBORw0KGgo=" in body
    assert 'href="#04_tiles"' in body
    assert "flowchart" not in body
    assert "<script" not in body


def tagged(folder, name, shown):
    output = {"output_type": "display_data", "metadata": {}, "data": {"text/html": shown}}
    code = {"cell_type": "code", "source": "table", "outputs": [output], "execution_count": 1}
    cells = [
        {"cell_type": "markdown", "source": "## Scorecard\nOf all.", "metadata": {}, "id": "a"},
        {**code, "metadata": {"tags": ["report"]}, "id": "b"},
        {**code, "metadata": {}, "id": "c"},
    ]
    page = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (folder / f"{name}.ipynb").write_text(json.dumps(page))


def test_what_a_cell_tagged_report_shows_stands_in_front_the_last_of_each_heading(tmp_path):
    tagged(tmp_path, "20_x", "<p>one drill</p>")
    tagged(tmp_path, "21_y", "<p>two drills</p>")
    tagged(tmp_path, "22_z", "")
    run = Run(tmp_path, "params/lab.yml", [], {}, [])

    text = report.write(run, {"20_x": "", "21_y": "", "22_z": ""}).read_text()

    assert 1 == text.count("<h2>Scorecard</h2>")
    assert 1 == text.count("<p>two drills</p>")
    assert "one drill" not in text


def test_a_run_without_such_a_cell_has_no_such_heading(page):
    assert "Scorecard" not in page


POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
KINDS = ["text/html", "text/markdown", "image/svg+xml", "text/plain", "application/javascript"]


def hostile_run(folder, text=WORST):
    """
    A run whose every text, and whose every output, wants to be markup.
    """
    folder.mkdir(exist_ok=True)
    data = [{"output_type": "display_data", "metadata": {}, "data": {k: text}} for k in KINDS]
    stream = {"output_type": "stream", "name": "stdout", "text": text}
    error = {"output_type": "error", "ename": text, "evalue": text, "traceback": [text]}
    cell = {"cell_type": "code", "metadata": {"tags": ["report"]}, "id": "b", "execution_count": 1}
    code = {**cell, "source": f"print({text!r})", "outputs": [*data, stream, error]}
    heading = {"cell_type": "markdown", "metadata": {}, "id": "a", "source": f"## {text}\n{text}"}
    notebook = {"cells": [heading, code], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path = folder / "01_x.ipynb"
    path.write_text(json.dumps(notebook))
    check = {"name": text, "expected": text, "actual": text, "passed": False}
    change = {"what": text, "name": text, "action": text}
    notes = [{"what": text, "text": text}]
    page = Page("01_x", text, FAILED, 1.0, text, text, [change], [check], {text: 2}, notes)
    run = Run(folder, text, [text], {text: text}, [page], verdict=FAILED, versions={text: text})
    return report.write(run, {"01_x": report.notebook_body(path)})


def assert_harmless(page):
    head, _, body = page.partition("</head>")
    assert POLICY in head
    assert "<script" not in head
    seen = Seen(body)
    assert set() == seen.tags & {"script", "svg", "iframe", "form", "style", "object", "base"}
    assert [] == [name for name in seen.attributes if name.startswith(("on", "srcdoc", "action"))]
    for link in seen.links:
        assert re.match(r"https?://|#|data:image/(png|svg\+xml);", link)


@pytest.mark.filterwarnings("ignore:Your element with mimetype")
def test_no_text_of_a_run_and_no_output_of_a_notebook_becomes_markup_that_acts(tmp_path):
    assert_harmless(hostile_run(tmp_path).read_text())


@pytest.mark.filterwarnings("ignore:Your element with mimetype")
@given(hostile_texts)
@settings(max_examples=10)
def test_nor_does_any_mixture_of_them(tmp_path_factory, text):
    assert_harmless(hostile_run(tmp_path_factory.getbasetemp() / "mixture", text).read_text())


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p onclick='x()'>a</p>", "<p>a</p>"),
        ("<a href='java\nscript:x()'>a</a>", "<a>a</a>"),
        ("<a href='data:text/html,x'>a</a>", "<a>a</a>"),
        ("<img src='https://x/1.png' alt='a'>", '<img alt="a">'),
        ("<img src='data:image/png;base64,AA=='>", '<img src="data:image/png;base64,AA==">'),
        ("<div style='position:fixed;color:red'>a</div>", '<div style="color:red">a</div>'),
        ("<p style='background:url(//x/1.png);color:red'>a</p>", "<p>a</p>"),
        (r"<p style='background:u\72l(//x/1.png)'>a</p>", "<p>a</p>"),
        ("<p style='background:image-set(\"//x\" 1x)'>a</p>", "<p>a</p>"),
        ("<p style='width:expression(x())'>a</p>", "<p>a</p>"),
        ("<p style='color:rgb(1,2,3)'>a</p>", '<p style="color:rgb(1, 2, 3)">a</p>'),
        ("<scr<script>ipt>x()</script>", "ipt&gt;x()"),
        ("<meta http-equiv=refresh content='0;https://x'>a", "a"),
    ],
)
def test_what_could_act_is_cut_and_the_rest_stays(html, expected):
    assert expected == clean(html)


def test_a_table_of_the_library_is_not_changed_by_cleaning():
    shown = str(frame_html(pd.DataFrame({"node": ["<a>"], "tiles": [3]})))
    assert shown == clean(shown).replace("<tbody>", "").replace("</tbody>", "")
