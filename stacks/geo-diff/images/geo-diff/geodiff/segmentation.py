"""
Segment one tile into its three surfaces in a single pass: one decode, one HSV, three masks.
"""

import resource
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np

from geodiff import png
from geodiff.png import TILE_PX
from geodiff.png_encoder import encode
from geodiff.segmenter import LIMIT_BYTES, READY, REFUSED, BadTileError, Surface, packed
from geodiff.tiles import SHARE_KEYWORD

# Hue ranges, both ends included, of OpenCV's RGB-to-HSV applied to BGR data, as the authors tuned
# them: red and blue are swapped, so desert's yellows and reds lie where blue would be.
HUES = {"FOREST-JUNGLE": (41, 79), "OCEAN-SEA": (0, 40), "DESERT": (80, 135)}

cv2.setNumThreads(1)


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


def main() -> None:
    """
    Answer one tile after another until the worker hangs up.
    """
    link = Connection(int(sys.argv[1]))
    with suppress(OSError):  # should the container run out of memory, this process goes first
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    link.send_bytes(READY)
    with suppress(EOFError, OSError):
        while True:
            data = link.recv_bytes()
            try:
                answer = packed(segment(data))
            except BadTileError as exc:
                answer = REFUSED + str(exc).encode()
            except Exception as exc:  # a MemoryError, for one: the next tile can be done
                answer = REFUSED + (str(exc) or type(exc).__name__).encode()
            link.send_bytes(answer)


if __name__ == "__main__":
    main()
