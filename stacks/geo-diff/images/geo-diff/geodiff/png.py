"""
The part of the PNG format that is needed: reading the header, checking that a file is whole, and
comparing pictures. The runbook's library loads this module too, before it decodes a tile.
"""

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress

from geodiff.tiles import MAX_BYTES

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_INFLATED = 4 * 1024 * 1024
TILE_PX = 256
# what makes the pixels; a colour profile, an animation or a rotation is no part of a tile
_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}


class PngError(ValueError):
    """
    The bytes are not a usable PNG file; the message is the reason.
    """


def size(data: bytes) -> tuple[int, int]:
    """
    Read width and height from the header, without decoding: a decoder would allocate memory first.
    """
    if not data:
        raise PngError("the file is empty")
    if not data.startswith(SIGNATURE):
        raise PngError("not a PNG file")
    if len(data) < 33 or data[8:16] != b"\0\0\0\x0dIHDR":
        raise PngError("the PNG header is cut off")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def chunks(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """
    Yield offset, type and content of every chunk up to IEND; PngError at one that is cut off.
    """
    offset, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        if offset + 12 > len(data):
            raise PngError(f"the file is cut off: it ends at byte {len(data)}, without IEND")
        (length,) = struct.unpack(">I", data[offset : offset + 4])
        kind, end = data[offset + 4 : offset + 8], offset + 12 + length
        if end > len(data):
            raise PngError(
                f"chunk {ascii(kind)[2:-1]} at byte {offset} declares {length} bytes; "
                f"{len(data) - offset - 12} are there"
            )
        yield offset, kind, data[offset + 8 : end - 4]
        offset = end


def tile_pixels(data: bytes) -> bytes:
    """
    Return a PNG of 256 x 256 with the chunks of its pixels only; PngError if it is no whole one.

    To be called before any decoder. OpenCV allocates what a chunk declares before it reads it, two
    GiB for a file of a hundred bytes, and would follow every other chunk as well.
    """
    if len(data) > MAX_BYTES:
        raise PngError(f"{len(data)} bytes, expected at most {MAX_BYTES}")
    if (found := size(data)) != (TILE_PX, TILE_PX):
        raise PngError(f"{found[0]} x {found[1]} pixels, expected {TILE_PX} x {TILE_PX}")
    kept = (
        data[offset : offset + 12 + len(content)]
        for offset, kind, content in chunks(data)
        if kind in _PIXELS
    )
    return SIGNATURE + b"".join(kept)


def texts(head: bytes) -> dict[str, str]:
    """
    Return keyword and text of every tEXt chunk, as far as the beginning of a file has them.
    """
    by_keyword = {}
    with suppress(PngError):
        for _, kind, content in chunks(head):
            if kind == b"tEXt":
                keyword, _, text = content.partition(b"\0")
                by_keyword[keyword.decode("latin-1")] = text.decode("latin-1")
    return by_keyword


def same_picture(one: bytes, other: bytes) -> bool:
    """
    Whether two PNG files differ at most in how their pixels were deflated.

    ISA-L chooses its code by the processor, so another node may deflate the same pixels
    differently.
    """
    return one == other or _inflated(one) == _inflated(other) is not None


def _inflated(data: bytes) -> tuple[list[tuple[bytes, bytes]], bytes] | None:
    try:
        found = [(kind, content) for _, kind, content in chunks(data)]
        deflated = b"".join(content for kind, content in found if kind == b"IDAT")
        pixels = zlib.decompressobj().decompress(deflated, MAX_INFLATED)
    except (PngError, zlib.error):
        return None
    return [chunk for chunk in found if chunk[0] != b"IDAT"], pixels
