"""
Let the tests import the services' packages from the images' build contexts.
"""

import sys

from tests.places import IMAGES, NOTICE_BOARD

sys.path.insert(0, str(IMAGES / "geo-diff"))
sys.path.insert(0, str(NOTICE_BOARD / "images" / "notice-board"))

import cv2
import numpy as np
import pytest
from geodiff.segmentation import segment
from geodiff.tiles import RAW, Tile


@pytest.fixture(scope="session")
def segmented():
    """
    A RAW tile of four colours and its three results, as (layer, PNG bytes).
    """
    pixels = np.zeros((256, 256, 3), np.uint8)
    pixels[:128, :128], pixels[:128, 128:] = (140, 60, 20), (40, 120, 30)
    pixels[128:, :128], pixels[128:, 128:] = (90, 160, 200), (250, 250, 250)
    raw = cv2.imencode(".png", pixels)[1].tobytes()
    return {RAW: raw} | {surface.name: surface.png for surface in segment(raw)}


def make_world(root, segmented):
    """
    Two dates of zooms 0 and 1, whole, and one tile of zoom 2.
    """
    names = [(0, 0, 0), *((1, y, x) for y in (0, 1) for x in (0, 1)), (2, 1, 3)]
    for date in ("2004-01-15", "2004-07-15"):
        for layer, data in segmented.items():
            for z, y, x in names:
                path = Tile(date, z, y, x).path(root, layer)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
    return root


@pytest.fixture
def world(tmp_path, segmented):
    """A small world that the test may change."""
    return make_world(tmp_path / "tiles", segmented)


@pytest.fixture(scope="session")
def still_world(tmp_path_factory, segmented):
    """The same world for all tests that only look."""
    return make_world(tmp_path_factory.mktemp("still") / "tiles", segmented)
