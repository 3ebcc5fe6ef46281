"""
A PNG encoder for results, as OpenCV's spends its time in zlib.

ISA-L deflates instead, and every row has the filter SUB (the difference from the pixel on the
left): three times as many tiles a second, in files two per cent smaller than OpenCV's default
(`tests/bench`).
"""

import struct
import zlib
from collections.abc import Mapping

import numpy as np
from isal import isal_zlib

from geodiff.png import SIGNATURE

RGBA, FILTER_SUB = 6, 1
LEVEL = 1


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def encode(rgba: np.ndarray, texts: Mapping[str, str]) -> bytes:
    """
    Return a PNG of RGBA pixels, with tEXt chunks before the pixels.
    """
    height, width, channels = rgba.shape
    row = rgba.reshape(height, width * channels)
    filtered = np.empty((height, 1 + width * channels), np.uint8)
    filtered[:, 0] = FILTER_SUB
    filtered[:, 1 : 1 + channels] = row[:, :channels]
    np.subtract(row[:, channels:], row[:, :-channels], out=filtered[:, 1 + channels :])
    return b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, RGBA, 0, 0, 0)),
            *(
                _chunk(b"tEXt", keyword.encode("latin-1") + b"\0" + text.encode("latin-1"))
                for keyword, text in texts.items()
            ),
            _chunk(b"IDAT", isal_zlib.compress(filtered, LEVEL)),
            _chunk(b"IEND", b""),
        )
    )
