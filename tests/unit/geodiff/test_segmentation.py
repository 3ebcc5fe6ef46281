"""
The reference segmentation.
"""

import cv2
import numpy as np

from runbook_lib.geodiff.results import HUES, decode, segment


def noise():
    pixels = np.random.default_rng(1).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    return pixels, cv2.imencode(".png", pixels)[1].tobytes()


def test_what_is_not_of_the_surface_is_fully_transparent_black():
    _, png = noise()
    result = segment(png, "OCEAN-SEA")

    assert {0, 255} == set(np.unique(result[..., 3]))
    assert result[result[..., 3] == 0].sum() == 0


def test_what_is_of_the_surface_keeps_its_colour():
    pixels, png = noise()
    result = segment(png, "DESERT")
    inside = result[..., 3] == 255

    assert np.array_equal(pixels[inside], result[inside][:, :3])


def test_no_pixel_belongs_to_two_surfaces():
    _, png = noise()
    total = sum((segment(png, surface)[..., 3] > 0).astype(int) for surface in HUES)

    assert total.max() <= 1


def test_a_stored_result_is_read_with_its_alpha():
    _, png = noise()
    result = segment(png, "DESERT")

    assert np.array_equal(result, decode(cv2.imencode(".png", result)[1].tobytes()))
