"""
The part of the PNG format that is needed: reading the header, and comparing pictures.
"""

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_INFLATED = 4 * 1024 * 1024


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
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise PngError("the PNG header is cut off")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def chunks(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """
    Yield offset, type and content of every chunk.
    """
    offset = len(SIGNATURE)
    while offset + 12 <= len(data):
        (length,) = struct.unpack(">I", data[offset : offset + 4])
        yield offset, data[offset + 4 : offset + 8], data[offset + 8 : offset + 8 + length]
        offset += 12 + length


def texts(data: bytes) -> dict[str, str]:
    """
    Return keyword and text of every tEXt chunk.
    """
    by_keyword = {}
    for _, kind, content in chunks(data):
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
    rest = [(kind, content) for _, kind, content in chunks(data) if kind != b"IDAT"]
    deflated = b"".join(content for _, kind, content in chunks(data) if kind == b"IDAT")
    try:
        return rest, zlib.decompressobj().decompress(deflated, MAX_INFLATED)
    except zlib.error:
        return None
