"""
As much of the PNG format as is needed to look before decoding, and to write one text chunk.
"""

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"


class PngError(ValueError):
    """
    The bytes are not a PNG file that we can use; the message is the reason.
    """


def size(data: bytes) -> tuple[int, int]:
    """
    Read width and height from the header, without decoding: a decoder would allocate first.
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


def with_text(data: bytes, keyword: str, text: str) -> bytes:
    """
    Return the same picture with a tEXt chunk before its first IDAT.
    """
    content = keyword.encode("latin-1") + b"\0" + text.encode("latin-1")
    chunk = struct.pack(">I", len(content)) + b"tEXt" + content
    chunk += struct.pack(">I", zlib.crc32(b"tEXt" + content))
    for offset, kind, _ in chunks(data):
        if kind == b"IDAT":
            return data[:offset] + chunk + data[offset:]
    raise PngError("the PNG has no IDAT chunk")


def texts(data: bytes) -> dict[str, str]:
    """
    Return keyword and text of every tEXt chunk.
    """
    found = {}
    for _, kind, content in chunks(data):
        if kind == b"tEXt":
            keyword, _, text = content.partition(b"\0")
            found[keyword.decode("latin-1")] = text.decode("latin-1")
    return found
