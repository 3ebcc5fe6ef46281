"""
What the results show, said in the title of the picture.
"""

import pandas as pd

from runbook_lib.geodiff import results
from runbook_lib.geodiff.results import pictures, plot_shares
from runbook_lib.geodiff.tiles import DataSet


def shares(**by_surface):
    rows = [
        (f"2004-0{n}-15", name, share)
        for name, values in by_surface.items()
        for n, share in enumerate(values, start=1)
    ]
    return pd.DataFrame(rows, columns=["date", "filter", "share"])


def test_the_title_names_the_surface_that_changes_most():
    found = shares(RAW=[None, None], FOREST=[0.05, 0.11], OCEAN=[0.71, 0.73]).dropna()
    assert "FOREST changes most: 5.0% to 11.0% of the ground" == plot_shares(found).title


def test_shares_that_are_not_known_yet_are_left_out():
    assert "No surface has its share yet" == plot_shares(shares(RAW=[None], OCEAN=[None])).title
    assert 1 == len(plot_shares(shares(RAW=[None], OCEAN=[0.7])).data)


def test_pictures_carry_their_bytes_and_their_names():
    shown = pictures({"RAW/1": b"\x89PNG", "DESERT/1": b"\x89PNG"}).data
    assert 2 == shown.count("data:image/png;base64,iVBORw==")
    assert "<figcaption>DESERT/1</figcaption>" in shown


def test_another_application_has_no_tiles_and_nothing_is_asked_of_its_manager():
    manager, data = None, DataSet("", "/srv/tiles")  # any request would fail
    counts = results.wait_for_results(manager, data, [], stack_name="other")

    assert 0 == results.missing(counts, [])
    assert "No surface is awaited" == results.plot_counts(counts, []).title
    assert results.compare_sample(manager, data, []).empty
    assert "<p>No tile to show.</p>" == results.show_tiles(manager, data, [], []).data
