"""
The report in a browser: whatever a run met, nothing runs and nothing is fetched.
"""

from tests.unit.runner.test_report import hostile_run


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
