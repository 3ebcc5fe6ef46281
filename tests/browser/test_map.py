"""
The map as people use it: a real browser, the built nginx image, the real tile server, real tiles.
"""

import math

import numpy as np
import pytest

from tests.browser.chromium import PHONE, keep_screenshot
from tests.browser.site import DAYS, SUMMER, TILE, UNSEGMENTED, WINTER, pixel_of
from tests.browser.visitor import agreement, looks_like

pytestmark = pytest.mark.lab

ZOOM = 3
PLACE = (45.0, 20.0)  # forests that winter takes, seas, and the edge of the desert
HALF = 120
AT = f"at={ZOOM}/{PLACE[0]}/{PLACE[1]}"
COLOURS = {
    "FOREST-JUNGLE": (0x2F, 0x9E, 0x5B),
    "OCEAN-SEA": (0x2F, 0x7F, 0xD1),
    "DESERT": (0xE0, 0xA3, 0x3A),
}
GAINED, LOST = (0x12, 0xD6, 0xC5), (0xFF, 0x6A, 0x3D)


def mask(site, surface, date):
    return site.picture(surface, date, ZOOM, PLACE, HALF)[:, :, 3] > 127


def shows(visitor, surface, expected, columns=slice(None)):
    """
    Wait until the middle of the map is in the surface's colour exactly where it should be.
    """
    visitor.eventually(
        f"{surface} in its colour",
        lambda: agreement(
            looks_like(visitor.middle(HALF), COLOURS[surface])[:, columns], expected[:, columns]
        ),
        lambda share: share > 0.98,
    )


@pytest.mark.parametrize("surface", COLOURS)
def test_a_surface_is_shown_in_its_colour_where_its_tiles_say(surface, visitor, site):
    visitor.arrive(f"date={SUMMER}&show={surface}:100&{AT}")
    expected = mask(site, surface, SUMMER)
    assert 0.02 < expected.mean() < 0.98, "the place should have both"
    shows(visitor, surface, expected)


def test_the_imagery_lies_below_and_shows_through(visitor, site):
    visitor.arrive(f"date={SUMMER}&show=RAW:100&{AT}")
    raw = site.picture("RAW", SUMMER, ZOOM, PLACE, HALF)[:, :, :3].astype(int)
    visitor.eventually(
        "the imagery",
        lambda: np.abs(visitor.middle(HALF).astype(int) - raw).mean(),
        lambda difference: difference < 6,
    )
    visitor.page.get_by_role("checkbox", name="Ocean and sea").check()
    visitor.wait_for_tiles()
    sea = mask(site, "OCEAN-SEA", SUMMER)
    mixed = 0.4 * raw + 0.6 * np.array(COLOURS["OCEAN-SEA"])
    visitor.eventually(
        "the sea's tint over it",
        lambda: np.abs(visitor.middle(HALF) - np.where(sea[:, :, None], mixed, raw)).mean(),
        lambda difference: difference < 6,
    )


def test_the_swipe_shows_one_date_on_each_side_and_follows_pointer_and_keys(visitor, site):
    surface = "FOREST-JUNGLE"
    page = visitor.arrive(
        f"date={WINTER}&other={SUMMER}&mode=swipe&split=0&show={surface}:100&{AT}"
    )
    winter, summer = mask(site, surface, WINTER), mask(site, surface, SUMMER)
    assert (winter != summer).mean() > 0.1, "the dates should differ here"
    shows(visitor, surface, summer)

    divider = page.get_by_role("slider", name="Divider")
    box = divider.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, 300)
    page.mouse.down()
    page.mouse.move(1420, 320, steps=5)
    page.mouse.up()
    shows(visitor, surface, winter)
    assert "98" == divider.get_attribute("aria-valuenow")

    divider.focus()
    page.keyboard.press("Home")
    shows(visitor, surface, summer)
    for _ in range(5):
        page.keyboard.press("PageUp")
    page.keyboard.press("ArrowRight")
    assert "52" == divider.get_attribute("aria-valuenow")
    assert "52.0% shows 15 Jan 2004" == divider.get_attribute("aria-valuetext")
    # its grip lies in the middle of the picture, 22 pixels to either side
    edge = HALF + round(0.02 * page.locator(".curtain").bounding_box()["width"])
    shows(visitor, surface, winter, slice(0, edge - 24))
    shows(visitor, surface, summer, slice(edge + 24, None))


def expected_changes(site, surface, place, half):
    before, after = (
        site.picture(surface, date, ZOOM, place, half)[:, :, 3] > 127 for date in (WINTER, SUMMER)
    )
    return after & ~before, before & ~after


@pytest.mark.parametrize(("surface", "south"), [("FOREST-JUNGLE", False), ("DESERT", True)])
def test_the_difference_paints_what_was_gained_and_what_was_lost(surface, south, visitor, site):
    """
    The other way round, what was gained is lost.
    """
    first, second = (SUMMER, WINTER) if south else (WINTER, SUMMER)
    visitor.arrive(f"date={first}&other={second}&mode=difference&subject={surface}&{AT}")
    gained, lost = expected_changes(site, surface, PLACE, HALF)
    if south:
        gained, lost = lost, gained
    assert gained.any() or lost.any()
    for colour, expected in ((GAINED, gained), (LOST, lost)):
        visitor.eventually(
            "the change in its colour",
            lambda c=colour, e=expected: agreement(looks_like(visitor.middle(HALF), c), e),
            lambda share: share > 0.98,
        )


def test_the_difference_says_the_share_of_the_ground_in_view(visitor, site):
    """
    Counted again here from the tiles on disk, every pixel by the ground that it covers.
    """
    page = visitor.arrive(
        f"date={WINTER}&other={SUMMER}&mode=difference&subject=FOREST-JUNGLE&{AT}",
        viewport={"width": 900, "height": 600},
    )
    numbers = page.locator(".key strong")
    visitor.eventually("the shares", numbers.count, lambda count: count == 2)
    free = page.evaluate(
        """() => {
            const box = (name) => document.querySelector(name).getBoundingClientRect();
            return [box(".map").right - box(".panel").right, box(".timeline").top];
        }"""
    )
    width, height = (round(length) for length in free)
    half = max(width, height) // 2 + 1
    gained, lost = expected_changes(site, "FOREST-JUNGLE", PLACE, half)
    row = pixel_of(PLACE, ZOOM)[1]
    northing = math.pi * (1 - 2 * (np.arange(row - half, row + half) + 0.5) / (TILE * 2**ZOOM))
    ground = np.repeat((1 / np.cosh(northing) ** 2)[:, None], 2 * half, axis=1)
    seen = np.s_[half - height // 2 : half + height // 2, half - width // 2 : half + width // 2]
    for text, changed in zip(numbers.all_inner_texts(), (gained, lost), strict=True):
        expected = 100 * (ground * changed)[seen].sum() / ground[seen].sum()
        assert float(text.rstrip("%")) == pytest.approx(expected, abs=0.3)
    assert numbers.first.inner_text() in page.get_by_role("status").last.inner_text()


def test_what_the_deepest_zoom_lacks_is_shown_from_the_zoom_above(visitor):
    """
    Zoom 4 ends at the polar circles: no hole beyond, and nobody asks twice for what is not there.
    """
    visitor.expect("404")
    visitor.arrive(f"date={SUMMER}&show=RAW:100,OCEAN-SEA:60&at=4/79.5/-40")
    visitor.wait_for_tiles()
    # ice: bright, and not the paper of a map without tiles
    visitor.eventually(
        "Greenland's ice", lambda: visitor.middle(40).std(), lambda spread: spread > 2
    )
    asked = [r.url for r in visitor.requests if "/4/0/" in r.url or "/4/1/" in r.url]
    asked = [url for url in asked if r"/RAW/" in url]
    assert asked
    assert len(asked) == len(set(asked))


def test_a_date_without_results_says_so_and_still_shows_the_imagery(visitor):
    visitor.expect("404")
    page = visitor.arrive(f"date={UNSEGMENTED}&{AT}")
    visitor.wait_for_tiles()
    assert 3 == page.get_by_text("0.0% segmented so far").count()
    assert "not yet" == page.locator(".chart .now").first.text_content()


def test_it_recovers_by_itself_when_the_tile_server_was_away(visitor, site):
    # the gate answers meanwhile, without the headers that let the page read why
    visitor.expect("ERR_CONNECTION", "ERR_EMPTY_RESPONSE", "ERR_SOCKET", "ERR_FAILED", "CORS")
    page = visitor.arrive(f"date={WINTER}&show=FOREST-JUNGLE:100&{AT}")
    shows(visitor, "FOREST-JUNGLE", mask(site, "FOREST-JUNGLE", WINTER))
    site.tile_server.stop(timeout=5)
    try:
        page.get_by_role("combobox", name="Date").select_option(SUMMER)
        page.get_by_role("alert").get_by_text("The tile server does not answer.").wait_for()
        keep_screenshot(page, "map laptop server away")
    finally:
        site.tile_server.start()
    page.locator(".banner").wait_for(state="detached")
    shows(visitor, "FOREST-JUNGLE", mask(site, "FOREST-JUNGLE", SUMMER))


def test_a_wrong_token_is_refused_in_words_and_the_right_one_opens(visitor, site):
    visitor.expect("401")
    page = visitor.arrive(f"date={SUMMER}&{AT}", token="")
    field = page.get_by_label("Access token")
    field.fill("not-the-token")
    page.get_by_role("button", name="Open").click()
    page.get_by_text("The tile server does not accept this token").wait_for()
    keep_screenshot(page, "map laptop wrong token")
    field.fill(f" {site.token} ")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for(state="detached")
    visitor.wait_for_tiles()
    page.reload()
    visitor.wait_for_tiles()
    assert 0 == page.get_by_role("dialog").count(), "the tab keeps the token"


def test_a_token_in_the_address_leaves_it_at_once_and_one_refused_is_asked_for_again(visitor, site):
    visitor.expect("401")
    page = visitor.arrive(f"date={SUMMER}&{AT}")
    visitor.wait_for_tiles()
    assert "token" not in page.url
    page.goto("about:blank")
    page.go_back()
    visitor.wait_for_tiles()
    assert "token" not in page.url
    page.evaluate("sessionStorage.setItem('geo-diff-token', 'from-yesterday')")
    page.reload()
    page.get_by_text("The tile server does not accept this token").wait_for()
    assert all(site.token not in request.url for request in visitor.requests)


def test_a_link_shows_the_same_view_and_back_returns(visitor, site):
    page = visitor.arrive(f"date={WINTER}&show=RAW:80,DESERT:40&{AT}")
    visitor.wait_for_tiles()
    page.get_by_role("radio", name="Difference").check(force=True)
    page.get_by_role("radio", name="Desert").check()
    page.wait_for_url("**subject=DESERT**")
    shared = page.url
    page.go_back()
    page.go_back()
    page.wait_for_url("**mode=single**")
    assert page.get_by_role("radio", name="One date").is_checked()
    page.goto("about:blank")
    page.goto(shared)
    visitor.wait_for_tiles()
    assert page.get_by_role("radio", name="Desert").is_checked()
    assert f"date={WINTER}" in page.url
    assert "show=RAW:80,DESERT:40" in page.url


def test_the_chart_has_the_figures_and_chooses_dates(visitor, site):
    page = visitor.arrive(f"date={WINTER}&{AT}")
    visitor.wait_for_tiles()
    page.get_by_text("The figures as a table").click()
    rows = page.locator(".chart tbody tr").all_inner_texts()
    assert len(DAYS) == len(rows)
    dates = page.evaluate(
        f"""fetch("{site.tiles_url}/dates", {{headers: {{Authorization: "Bearer {site.token}"}}}})
            .then((response) => response.json())"""
    )["dates"]
    for row, entry in zip(rows, dates, strict=True):
        shares = [entry["filters"].get(name, {}).get("share") for name in COLOURS]
        expected = ["not yet" if share is None else f"{100 * share:.1f}%" for share in shares]
        assert expected == row.split("\t")[1:]
    page.locator(".chart .column").nth(DAYS.index(SUMMER)).click()
    page.wait_for_url(f"**date={SUMMER}**")
    assert SUMMER == page.get_by_role("combobox", name="Date").input_value()


def test_everything_can_be_done_with_the_keyboard_and_the_focus_is_seen(visitor, site):
    page = visitor.arrive(f"date={WINTER}&{AT}", token="")
    page.keyboard.type(site.token)
    page.keyboard.press("Enter")
    visitor.wait_for_tiles()
    assert "map" == page.evaluate("document.activeElement.id")

    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        name, outlined = page.evaluate(
            """() => {
                const here = document.activeElement;
                const near = here.matches(".modes input") ? here.nextElementSibling : here;
                const style = getComputedStyle(near);
                const seen = style.outlineStyle !== "none" || style.strokeWidth === "3px";
                return [here.className?.baseVal ?? `${here.tagName} ${here.className}`, seen];
            }"""
        )
        if name.startswith("BODY"):  # between the last and the first
            continue
        assert outlined, f"{name} has no visible focus"
        reached.append(name)
    assert {"A skip", "DIV map", "BUTTON play", "SELECT "} <= set(reached)
    assert any("column" in name for name in reached)

    page.get_by_role("radio", name="One date").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_role("slider", name="Divider").focus()
    page.keyboard.press("ArrowLeft")
    page.get_by_role("slider", name="Before").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"**date={SUMMER}&mode=swipe**split=0.48**")
    page.locator(".chart .column[tabindex='0']").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**date={WINTER}**")


def test_play_steps_through_the_dates_and_stops(visitor):
    visitor.expect("404")
    page = visitor.arrive(f"date={WINTER}&show=RAW:100&{AT}")
    visitor.wait_for_tiles()
    page.get_by_role("button", name="Play the dates").click()
    for date in (SUMMER, UNSEGMENTED, WINTER):
        page.wait_for_url(f"**date={date}**")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Play the dates").wait_for()


@pytest.mark.parametrize(
    ("locale", "tag", "words"),
    [("es-MX", "es", "Diferencia"), ("en-US", "en", "Difference"), ("fr-FR", "en", "Difference")],
)
def test_it_speaks_the_language_of_the_browser_and_can_be_asked_for_the_other(
    locale, tag, words, visitor
):
    page = visitor.arrive(f"date={SUMMER}&{AT}", locale=locale)
    page.get_by_role("radio", name=words).wait_for()
    assert tag == page.locator("html").get_attribute("lang")
    other = {"es": ("English", "en", "Swipe"), "en": ("Español", "es", "Cortina")}[tag]
    page.get_by_role("button", name=other[0]).click()
    page.get_by_role("radio", name=other[2]).wait_for()
    assert other[1] == page.locator("html").get_attribute("lang")


def test_both_languages_have_words_for_everything(visitor):
    page = visitor.arrive()
    keys = page.evaluate(
        """import("/dictionary.js").then(({ WORDS }) =>
            Object.values(WORDS).map((words) => Object.entries(words)
                .map(([key, text]) => [key, (text.match(/{[a-z]+}/g) ?? []).sort().join()])))"""
    )
    assert keys[0] == keys[1]


def test_on_a_phone_the_sheet_opens_and_nothing_sticks_out(visitor):
    page = visitor.arrive(
        f"date={WINTER}&other={SUMMER}&{AT}", viewport=PHONE, has_touch=True, is_mobile=True
    )
    visitor.wait_for_tiles()
    assert not page.get_by_role("checkbox", name="Desert").is_visible()
    page.get_by_role("button", name="Layers and chart").tap()
    page.get_by_role("checkbox", name="Desert").tap()
    page.wait_for_url("**show=RAW:100,FOREST-JUNGLE:60,OCEAN-SEA:60&**")
    for mode in ("One date", "Swipe", "Difference"):
        page.locator(".modes label", has_text=mode).tap()
        widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert widths[0] <= widths[1]
        small = page.evaluate(
            """[...document.querySelectorAll("button, select")]
                .filter((it) => it.offsetParent && it.getBoundingClientRect().height < 24)
                .map((it) => it.outerHTML)"""
        )
        assert [] == small
    page.get_by_role("button", name="Close").tap()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", ["laptop", "phone"])
def test_pictures_of_every_view_are_kept(device, scheme, visitor):
    """
    For people to look at; here they are only known to differ from one another.
    """
    window = {"viewport": PHONE, "has_touch": True, "is_mobile": True} if device == "phone" else {}
    page = visitor.arrive(f"date={WINTER}&other={SUMMER}", color_scheme=scheme, **window)
    pictures = set()
    for mode in ("One date", "Swipe", "Difference"):
        page.locator(".modes label", has_text=mode).click()
        visitor.wait_for_tiles()
        page.wait_for_timeout(500)
        pictures.add(keep_screenshot(page, f"map {device} {scheme} {mode}").read_bytes())
    assert 3 == len(pictures)


def test_the_page_may_only_reach_its_two_servers(visitor, site):
    page = visitor.arrive()
    policy = page.request.get(site.url).headers["content-security-policy"]
    assert "unsafe" not in policy
    assert f"connect-src 'self' {site.tiles_url};" in policy
    visitor.expect("Content Security Policy")
    assert "refused" == page.evaluate(
        "fetch('http://127.0.0.1:9/').then(() => 'reached', () => 'refused')"
    )
    assert any("Content Security Policy" in complaint for complaint in visitor.complaints)
    visitor.requests.clear()
