"""
The pictures of notebooks made small enough for a page that is mailed, and described in words.

A chart as WebP without loss has a tenth of its PNG; a photograph is compressed as one. A picture is
not trusted: only whole chunks that hold pixels reach the decoder, which would else allocate what a
chunk declares.
"""

import base64
import binascii
import re
import struct
from collections.abc import Iterator

import cv2
import numpy as np
from nbformat import NotebookNode

_PNG = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)")
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_MOST_PIXELS = 25_000_000
_LOSSLESS, _PHOTOGRAPH = 101, 85  # of OpenCV's quality, more than 100 is without loss


def shrink(html: str) -> str:
    """
    Replace each PNG by a smaller WebP, if it is one and can be read.
    """
    return _PNG.sub(_smaller, html)


def _smaller(match: re.Match[str]) -> str:
    try:
        png = base64.b64decode(match[1])
        width, height = struct.unpack(">II", png[16:24])
        if not 0 < width * height <= _MOST_PIXELS:
            return match[0]
        plain = _SIGNATURE + b"".join(_chunks(png))
        pixels = cv2.imdecode(np.frombuffer(plain, np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels is None or pixels.dtype != np.uint8:
            return match[0]
        webp = _encode(pixels, _LOSSLESS)
        if len(webp) > len(png) / 3:
            webp = _encode(pixels, _PHOTOGRAPH)
    except (binascii.Error, struct.error, ValueError, cv2.error):
        return match[0]
    if len(webp) >= len(png):
        return match[0]
    return f"data:image/webp;base64,{base64.b64encode(webp).decode()}"


def _chunks(png: bytes) -> Iterator[bytes]:
    if not png.startswith(_SIGNATURE):
        raise ValueError("no PNG")
    place = len(_SIGNATURE)
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        end = place + 12 + length
        if end > len(png):
            raise ValueError("a chunk declares more than there is")
        if png[place + 4 : place + 8] in _KEPT:
            yield png[place:end]
        place = end


def _encode(pixels: "np.ndarray", quality: int) -> bytes:
    encoded = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, quality])[1]
    return bytes(encoded)


def give_words(notebook: NotebookNode) -> None:
    """
    Give the pictures of each cell a text: the heading and the sentence above it.
    """
    heading, words = "", ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for line in filter(None, map(str.strip, cell.source.splitlines())):
                if line.startswith("#"):
                    heading, words = line.lstrip("# "), ""
                else:
                    words = line
        elif cell.cell_type == "code":
            cell.metadata["alt"] = ": ".join(filter(None, [heading, words]))[:300] or "a picture"
