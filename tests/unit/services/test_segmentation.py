"""
The worker's single pass, against the naive way that it replaces.
"""

import struct
import zlib

import cv2
import numpy as np
import pytest
from geodiff import png
from geodiff.png_encoder import _chunk, encode
from geodiff.segmentation import BadTileError, segment
from geodiff.tiles import SURFACES

HUES = {"FOREST-JUNGLE": (41, 79), "OCEAN-SEA": (0, 40), "DESERT": (80, 135)}


def encoded(pixels):
    return cv2.imencode(".png", pixels)[1].tobytes()


def noise(shape=(256, 256, 3), dtype=np.uint8):
    return np.random.default_rng(3).integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def naive(data, name):
    """
    Decode and mask for one surface alone, pixel by pixel transparent outside of it.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    hue = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[..., 0]
    low, high = HUES[name]
    result = np.zeros((256, 256, 4), np.uint8)
    for y, x in zip(*np.nonzero((hue >= low) & (hue <= high)), strict=True):
        result[y, x] = (*image[y, x], 255)
    return result


@pytest.mark.parametrize(
    "pixels",
    [
        noise(),
        np.zeros((256, 256, 3), np.uint8),
        np.full((256, 256, 3), 255, np.uint8),
        noise((256, 256)),
        noise((256, 256, 4)),
        noise((256, 256, 3), np.uint16),
    ],
    ids=["colour", "black", "white", "greyscale", "with alpha", "sixteen bits"],
)
def test_each_surface_is_pixel_for_pixel_that_of_the_naive_way(pixels):
    data = encoded(pixels)
    surfaces = {surface.name: surface for surface in segment(data)}
    assert set(SURFACES) == set(surfaces)
    for name, surface in surfaces.items():
        expected = naive(data, name)
        actual = cv2.imdecode(np.frombuffer(surface.png, np.uint8), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(expected, actual)
        assert np.count_nonzero(expected[..., 3]) / 65536 == surface.share


def test_the_share_travels_in_the_picture_before_its_pixels():
    surface = segment(encoded(noise()))[0]
    kinds = [kind for _, kind, _ in png.chunks(surface.png)]
    assert kinds.index(b"tEXt") < kinds.index(b"IDAT")
    assert {"surface-share": f"{surface.share:.6f}"} == png.texts(surface.png)


def test_two_passes_give_the_same_bytes():
    """
    A second delivery must find on disk what it brings.
    """
    data = encoded(noise())
    assert segment(data) == segment(data)


def bomb(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = b"IHDR" + header
    return png.SIGNATURE + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"GIF89a" + bytes(100), "not a PNG"),
        (png.SIGNATURE + b"\0\0", "cut off"),
        (encoded(noise())[:900], "chunk IDAT at byte 33 declares 8192 bytes; 855 are there"),
        (bomb(100_000, 100_000), "100000 x 100000 pixels, expected 256 x 256"),
        (encoded(noise((255, 256, 3))), "256 x 255 pixels"),
        (bytes(2 * 1024 * 1024 + 1), "2097153 bytes"),
    ],
    ids=["empty", "gif", "header", "truncated", "bomb", "size", "huge"],
)
def test_what_is_not_a_tile_is_refused_with_its_reason(data, reason):
    """
    Sizes are read before anything is decoded: a decoder allocates what a header claims.
    """
    with pytest.raises(BadTileError, match=reason):
        segment(data)


def test_pictures_deflated_otherwise_are_the_same_picture():
    """
    Other pixels or another text are not.
    """
    black = np.zeros((256, 256, 4), np.uint8)
    one = encode(black, {"surface-share": "0"})
    stored = b"".join(
        _chunk(kind, zlib.compress(zlib.decompress(content), 0) if kind == b"IDAT" else content)
        for _, kind, content in png.chunks(one)
    )
    other_pixels = encode(black + 1, {"surface-share": "0"})
    other_text = encode(black, {"surface-share": "1"})
    assert png.same_picture(one, png.SIGNATURE + stored)
    assert not any(
        png.same_picture(one, other) for other in (other_pixels, other_text, b"", one[:99])
    )
