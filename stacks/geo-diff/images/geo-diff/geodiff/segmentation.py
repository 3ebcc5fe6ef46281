"""
Segment one tile into its three surfaces in a single pass: one decode, one HSV, three masks.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from geodiff import png
from geodiff.png import TILE_PX
from geodiff.png_encoder import encode
from geodiff.tiles import SHARE_KEYWORD

# Hue ranges, both ends included, of OpenCV's RGB-to-HSV applied to BGR data, as the authors tuned
# them: red and blue are swapped, so desert's yellows and reds lie where blue would be.
HUES = {"FOREST-JUNGLE": (41, 79), "OCEAN-SEA": (0, 40), "DESERT": (80, 135)}

cv2.setNumThreads(1)


class BadTileError(ValueError):
    """
    The tile can never be segmented; the message is the reason.
    """


@dataclass(frozen=True)
class Surface:
    """
    One result: an RGBA PNG, transparent black outside the surface, and the share of it (0 to 1).
    """

    name: str
    png: bytes
    share: float


def decode(data: bytes) -> np.ndarray:
    """
    Return the BGR pixels of a RAW tile; BadTileError if it is no PNG of 256 x 256.
    """
    try:
        pixels = np.frombuffer(png.tile_pixels(data), np.uint8)
        image = cv2.imdecode(pixels, cv2.IMREAD_COLOR)
    except png.PngError as exc:
        raise BadTileError(str(exc)) from exc
    except cv2.error as exc:
        raise BadTileError(f"OpenCV: {exc.err}") from exc
    if image is None:
        raise BadTileError("the PNG cannot be decoded")
    return image


def masks(image: np.ndarray) -> dict[str, np.ndarray]:
    """
    Return one mask (0 or 255 a pixel) for each surface.
    """
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    return {
        name: cv2.inRange(hsv, (low, 0, 0), (high, 255, 255)) for name, (low, high) in HUES.items()
    }


def _encode(rgba: np.ndarray, share: float) -> bytes:
    return encode(rgba, {SHARE_KEYWORD: f"{share:.6f}"})


def segment(data: bytes) -> list[Surface]:
    """
    Return the three surfaces of a RAW tile.

    The share is mask pixels over all pixels. (The original took the length of a tuple of two
    index arrays for the count of pixels, so every tile was 99.997 % covered.)
    """
    image = decode(data)
    rgba = cv2.cvtColor(image, cv2.COLOR_BGR2RGBA)
    surfaces = []
    for name, mask in masks(image).items():
        count = cv2.countNonZero(mask)
        share = count / mask.size
        picture = _encode(cv2.bitwise_and(rgba, rgba, mask=mask), share) if count else NOTHING
        surfaces.append(Surface(name, picture, share))
    return surfaces


# An absent surface is always the same picture, and one in three is: encode it once.
NOTHING = _encode(np.zeros((TILE_PX, TILE_PX, 4), np.uint8), 0.0)
