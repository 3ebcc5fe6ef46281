"""
The report: stands alone, names what failed, and asks for no more rights than were used.
"""

import base64
import json
import re

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from runbook_lib.core.tables import frame_html
from runbook_lib.runner import pictures, report
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
                {"what": "machines", "text": "6 of the type <t2.micro> run", "fact": True},
                {"what": "the map", "text": "http://192.0.2.7:8080"},
                {"what": "a token", "text": "ssh ubuntu@192.0.2.7"},
            ],
        ),
        Page("02_y", "Groups", FAILED, 1.0, "Prove", "expected 6, saw 4", checks=[check]),
        Page("03_z", "Docker"),
    ]
    run = Run(
        *[tmp_path, "params/lab.yml", ["batch=3"], {"batch": 3}, pages],
        seconds=425.0,
        verdict=FAILED,
        resume="runbook run params/lab.yml --from 02 -p batch=3 --runs elsewhere",
        give_back="runbook run params/lab.yml --only 90 --runs elsewhere",
    )
    bodies = {
        "01_x": '<p>the first body</p><a href="#02_y">02</a> <a href="#91_z">91</a>',
        "02_y": "<p>the second body</p>",
    }
    return report.write(run, bodies).read_text()


def test_it_says_first_how_the_run_ended_and_where(page):
    assert '<p class="verdict">failed</p>' in page
    assert "02_y, under “Prove”" in page
    assert "All &lt;ready&gt;: 4, but expected 6." in page
    assert page.index("expected 6, saw 4") < page.index(">Notebooks</h2>")


def test_the_first_screen_tells_what_happened_with_its_numbers_and_how_to_stop_paying(page):
    first = page[page.index("<h1>") : page.index("</header>")]
    assert "1 of 3 notebooks passed, 0 of 1 check passed, 1 change, in 7 min 5 s." in first
    assert "<dt>machines</dt><dd>6 of the type &lt;t2.micro&gt; run</dd>" in first
    assert "runbook run params/lab.yml --only 90 --runs elsewhere" in first


def test_a_failure_comes_with_the_command_that_goes_on(page):
    section = page[page.index('class="failure"') : page.index("</section>")]
    assert "runbook run params/lab.yml --from 02 -p batch=3 --runs elsewhere" in section


def test_changes_are_folded_a_notebook_each_and_a_notebook_not_run_is_grey(page):
    assert "<details><summary>01 Instances: 1</summary>" in page
    assert '<tr class="skipped"><td>03 Docker</td>' in page
    assert '<p class="notebook">03_z <small>not run</small></p>' in page


def test_every_notebook_has_its_row_and_the_executed_ones_their_pages(page):
    assert '<a href="#01_x">01 Instances</a>' in page
    assert "not run" in page
    assert "the first body" in page


def test_what_a_person_takes_away_stands_before_the_notebooks(page):
    place = page.index("What you have now")
    assert page.index("http://192.0.2.7:8080", place) < page.index(">Notebooks</h2>")


def test_an_address_to_use_is_a_link_and_a_command_is_text(page):
    assert '<a href="http://192.0.2.7:8080">http://192.0.2.7:8080</a>' in page
    assert "<code>ssh ubuntu@192.0.2.7</code>" in page


def test_a_run_without_checks_has_no_table_of_them(tmp_path):
    run = Run(tmp_path, "params/lab.yml", [], {}, [Page("01_x", "Instances", PASSED)])
    assert ">Checks<" not in report.write(run, {}).read_text()


def test_links_lead_to_notebooks_of_this_report_only(page):
    assert '<a href="#02_y">02</a> 91' in page


def test_what_notebooks_say_is_text_not_markup(page):
    assert "All &lt;ready&gt;" in page


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

    assert 1 == text.count(">Scorecard</h2>")
    assert 1 == text.count("<p>two drills</p>")
    assert "one drill" not in text


def test_a_run_without_such_a_cell_has_no_such_heading(page):
    assert "Scorecard" not in page


def executed(folder, *cells, name="06_x"):
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path = folder / f"{name}.ipynb"
    path.write_text(json.dumps(notebook))
    return path


def code(source, *outputs, **others):
    cell = {"cell_type": "code", "id": f"c{len(source)}", "metadata": {}, "execution_count": 1}
    return {**cell, "source": source, "outputs": outputs, **others}


def words(source, *tags):
    cell = {"cell_type": "markdown", "id": f"m{len(source)}", "source": source}
    return {**cell, "metadata": {"tags": [*tags]}}


MARKER = "papermill-error-cell-tag"
TRACE = "\x1b[38;5;28mlambda\x1b[39m: x < 1"
ERROR = {"output_type": "error", "ename": "E", "evalue": "v", "traceback": [TRACE, "E: v"]}


def shown(**data):
    kinds = {"png": "image/png", "svg": "image/svg+xml", "html": "text/html"}
    data = {kinds[kind]: text for kind, text in data.items()}
    return {"output_type": "display_data", "metadata": {}, "data": data}


def test_a_failed_page_shows_its_cell_first_greys_the_rest_and_has_no_text_of_papermill(tmp_path):
    """Papermill puts two cells of HTML into the notebook, with the size and colour of 2000."""
    path = executed(
        tmp_path,
        words("<span style='color:red'>An Exception was encountered</span>", MARKER),
        words("## Deploy"),
        code("fine()"),
        words("<span>Execution using papermill encountered an exception here</span>", MARKER),
        code("deploy()", ERROR),
        code("afterwards()", execution_count=None),
    )
    body = report.notebook_body(path)
    assert "xception" not in body
    assert "lambda: x &lt; 1\nE: v" in body
    before, _, after = body.partition("E: v")
    assert ("celltag_not-run" in before, after.count("celltag_not-run")) == (False, 1)
    page = Page("06_x", "Deploy", FAILED, 1.0, "Deploy", "E: v")
    run = Run(tmp_path, "p.yml", [], {}, [page], verdict=FAILED)
    text = report.write(run, {"06_x": body}).read_text()
    assert text.index("deploy()") < text.index(">Notebooks</h2>")


def picture(pixels):
    return base64.b64encode(bytes(cv2.imencode(".png", pixels)[1])).decode()


def test_a_drawing_is_made_small_without_loss_and_described_by_the_words_above_it(tmp_path):
    drawn = np.full((600, 900, 4), 255, np.uint8)
    cv2.line(drawn, (0, 0), (899, 599), (0, 0, 200, 255), 3)
    png = picture(drawn)
    above = words("## Throughput\nEach point is a step.")
    path = executed(tmp_path, above, code("show()", shown(png=png)))
    body = report.notebook_body(path)
    assert 'alt="Throughput: Each point is a step."' in body
    (webp,) = re.findall(r"data:image/webp;base64,([^\"]+)", body)
    assert len(webp) < len(png) / 2
    again = cv2.imdecode(np.frombuffer(base64.b64decode(webp), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(drawn[..., :3], again[..., :3])


def test_a_chart_that_is_also_an_svg_is_shown_as_that_with_its_words(tmp_path):
    svg = "<svg xmlns='http://www.w3.org/2000/svg'><script>x()</script></svg>"
    png = picture(np.zeros((4, 4, 3), np.uint8))
    body = report.notebook_body(
        executed(tmp_path, words("## CPU\nBusy."), code("show()", shown(png=png, svg=svg)))
    )
    assert 1 == body.count("<img")
    assert '<img alt="CPU: Busy." src="data:image/svg+xml;base64,' in body


@pytest.mark.parametrize(
    "damage",
    [
        lambda png: png[:40],
        lambda png: png[:33] + b"\xff\xff\xff\xf0IDAT" + png[41:],
        lambda png: png[:16] + b"\x7f\xff\xff\xff\x7f\xff\xff\xff" + png[24:],
        lambda png: b"GIF89a" + png[6:],
        lambda png: png[:-30],
    ],
)
def test_a_picture_that_is_none_stays_as_it_is(damage):
    png = bytes(cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1])
    html = f'<img src="data:image/png;base64,{base64.b64encode(damage(png)).decode()}">'
    assert html == pictures.shrink(html)


def test_a_page_too_large_to_be_mailed_leaves_out_its_longest_notebooks(tmp_path):
    pages = [Page("01_x", "Short", PASSED), Page("02_y", "Long", PASSED)]
    bodies = {"01_x": "<p>short</p>", "02_y": "<p>x</p>" * 300_000}
    path = report.write(Run(tmp_path, "p.yml", [], {}, pages, verdict=PASSED), bodies)
    assert path.stat().st_size < 1_500_000
    text = path.read_text()
    assert ("<p>short</p>" in text, "open 02_y.ipynb beside it" in text) == (True, True)


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
    notes = [{"what": text, "text": text}, {"what": text, "text": text, "fact": True}]
    page = Page("01_x", text, FAILED, 1.0, text, text, [change], [check], {text: 2}, notes)
    run = Run(folder, text, [text], {text: text}, [page], verdict=FAILED, versions={text: text})
    run.resume = run.give_back = text
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
