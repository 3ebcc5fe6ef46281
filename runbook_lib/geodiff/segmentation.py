"""
The reference segmentation, computed as Geo-Diff's original worker does: once per surface.

Source: `services/worker/geodiff_worker.py` of Geo-Diff. Its hue ranges are tuned to an image
whose red and blue are swapped (`COLOR_RGB2HSV` on OpenCV's BGR order); so is this.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

HUES = {"FOREST-JUNGLE": (41, 79), "OCEAN-SEA": (0, 40), "DESERT": (80, 135)}
"""For each surface the lowest and the highest hue, of OpenCV's 0..179."""

Image = NDArray[np.uint8]


def decode(png: bytes) -> Image:
    """
    The pixels of a PNG as stored, height x width x channels (BGR or BGRA).
    """
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    return np.asarray(image, np.uint8)


def segment(raw_png: bytes, surface: str) -> Image:
    """
    One surface of a RAW tile as BGRA; what is not of the surface is (0, 0, 0, 0).
    """
    image = cv2.imdecode(np.frombuffer(raw_png, np.uint8), cv2.IMREAD_COLOR)
    hsv = cv2.cvtColor(np.asarray(image, np.uint8), cv2.COLOR_RGB2HSV)
    low, high = HUES[surface]
    mask = cv2.inRange(hsv, np.array([low, 0, 0]), np.array([high, 255, 255]))
    kept = cv2.bitwise_and(np.asarray(image, np.uint8), np.asarray(image, np.uint8), mask=mask)
    return np.dstack([kept, mask]).astype(np.uint8)
