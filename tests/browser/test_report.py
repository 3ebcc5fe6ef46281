"""
The report in a browser: whatever a run met, nothing runs and nothing is fetched; and everybody can
read it, on a phone as on a laptop, in the light and in the dark.
"""

import pytest
from axe_playwright_python.sync_playwright import Axe

from runbook_lib.runner import report
from runbook_lib.runner.record import FAILED, PASSED, Page, Run
from tests.browser.chromium import keep_screenshot
from tests.unit.runner.test_report import ERROR, code, executed, hostile_run, shown, words

WIDTHS = [390, 768, 1024, 1366]
CHECK = {"name": "nodes ready", "expected": "6", "actual": "4", "passed": False}
TABLE = "<tr><th></th><th>check</th></tr>" + "<tr><td>✓</td><td>" + "word_" * 40 + "</td></tr>"
BOX = '<div style="background:#f6f8f7"><p style="color:#1f2933">Use 6 workers</p></div>'


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """
    The report of a run that failed in its second of three notebooks.
    """
    folder = tmp_path_factory.mktemp("run")
    first = executed(
        folder,
        words("# 01 Launch\n> After this page, six run.\n\n`code` and [02](02_y.ipynb)"),
        code("import x  # why\nf('text', 12)", shown(html=f"<table>{TABLE}</table>")),
        {**code("box", shown(html=BOX)), "metadata": {"tags": ["report"]}},
        name="01_x",
    )
    second = executed(
        folder, words("## Deploy"), code("go()", ERROR), words("More."), code("rest()"), name="02_y"
    )
    change = {"what": "node", "name": "worker-1", "action": "joined"}
    notes = [
        {"what": "machines", "text": "6 of the type t2.micro run", "fact": True},
        {"what": "the map", "text": "http://192.0.2.7:8080"},
    ]
    passed = [{**CHECK, "actual": "6", "passed": True}]
    pages = [
        Page("01_x", "Launch", PASSED, 9.0, "", "", [change], passed, {"ec2:X": 1}, notes),
        Page("02_y", "Deploy", FAILED, 1.0, "Deploy", "expected 6, saw 4", checks=[CHECK]),
        Page("03_z", "Never"),
    ]
    run = Run(
        *[folder, "params/lab.yml", ["key_file=" + "long/" * 30], {"batch": 3}, pages],
        verdict=FAILED,
        resume="runbook run params/lab.yml --from 02",
        give_back="runbook run params/lab.yml --only 90",
    )
    bodies = {path.stem: report.notebook_body(path) for path in (first, second)}
    return report.write(run, bodies)


@pytest.fixture
def opened(browser, failed):
    contexts = []

    def go(width, **how):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **how))
        page = contexts[-1].new_page()
        page.goto(f"file://{failed}")
        return page

    yield go
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_at_any_width_in_either_theme(opened, scheme):
    """Axe holds text against 4.5:1, and looks only into what is open."""
    page = opened(WIDTHS[0], color_scheme=scheme)
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true })")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        found = Axe().run(page).response
        assert [] == [(v["id"], [n["html"] for n in v["nodes"]]) for v in found["violations"]]
        assert "color-contrast" in [one["id"] for one in found["passes"]]
        assert width == page.evaluate("document.documentElement.scrollWidth")
        keep_screenshot(page, f"report {scheme} {width}")


def test_a_switch_turns_the_theme_without_a_script(opened):
    page = opened(1024, color_scheme="light")
    colour = "getComputedStyle(document.body).backgroundColor"
    assert "rgb(255, 255, 255)" == page.evaluate(colour)
    page.get_by_label("dark").check()
    assert "rgb(20, 24, 29)" == page.evaluate(colour)
    page.get_by_label("light").check()
    assert "rgb(255, 255, 255)" == page.evaluate(colour)


def test_one_switch_and_the_printer_open_everything_folded(opened):
    page = opened(1024)
    change = page.get_by_text("joined")
    assert not change.is_visible(), "folded at first"
    page.get_by_label("expand all").check()
    assert change.is_visible()
    page.get_by_label("expand all").uncheck()
    page.emulate_media(media="print")
    assert change.is_visible()
    assert not page.locator("nav").is_visible()


def test_the_contents_stay_in_view_and_lead_to_a_folded_notebook(opened):
    page = opened(1366)
    page.get_by_role("link", name="01 Launch").first.click()
    page.wait_for_timeout(100)
    assert page.locator("article").first.is_visible()
    place = page.get_by_role("link", name="Checks").bounding_box()
    assert (True, True) == (page.evaluate("scrollY") > 300, 0 <= place["y"] < 900)


def test_the_browser_fetches_nothing_and_runs_nothing(browser, tmp_path):
    page = browser.new_page()
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.goto(f"file://{hostile_run(tmp_path)}")
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true })")
    page.wait_for_timeout(300)
    assert [] == said
    assert ["report.html"] == [url.rpartition("/")[2] for url in asked if url[:5] != "data:"]
    page.close()
