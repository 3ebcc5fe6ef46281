"""
Tiles made to break their reader: worker, updater and library refuse each with its reason, and none
of them grows.
"""

import json
import os
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from geodiff.png import SIGNATURE
from geodiff.png_encoder import _chunk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.places import IMAGES, ROOT

HEADER = struct.pack(">IIBBBBB", 256, 256, 8, 2, 0, 0, 0)
BLACK = zlib.compress(bytes(256 * 769), 9)
ALLOWED_MIB = 48  # what a good tile needs, and the allocator's habits

KINDS = st.sampled_from(
    [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf",
     b"gAMA", b"sBIT", b"acTL", b"fcTL", b"fdAT", b"hIST", b"abcd", b"\0\0\0\0", b"\xff\n<>"]
)  # fmt: skip
LENGTHS = st.one_of(
    st.none(), st.sampled_from([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]), st.integers(0, 1 << 20)
)
SIDES = st.sampled_from([0, 1, 255, 256, 257, 65_535, 0x7FFFFFFF, 0xFFFFFFFF])
CONTENTS = st.one_of(
    st.sampled_from([b"", HEADER, BLACK, BLACK[:40], zlib.compress(bytes(8 << 20), 9)]),
    st.binary(max_size=64),
    st.builds(struct.pack, st.just(">IIBBBBB"), SIDES, SIDES, *[st.integers(0, 20)] * 5),
    st.builds(struct.pack, st.just(">IIIIIHHBB"), st.integers(0, 3), SIDES, SIDES, SIDES, SIDES,
              *[st.integers(0, 9)] * 4),
)  # fmt: skip


def told(kind, content, length, checked):
    """A chunk that may declare another length than it has, or a wrong checksum."""
    whole = _chunk(kind, content)
    if length is not None:
        whole = struct.pack(">I", length) + whole[4:]
    return whole if checked else whole[:-4] + b"\0\0\0\0"


CHUNKS = st.lists(st.builds(told, KINDS, CONTENTS, LENGTHS, st.booleans()), max_size=8)
START = st.sampled_from(
    [SIGNATURE, SIGNATURE + _chunk(b"IHDR", HEADER), b"", b"GIF89a", b"\xff\xd8\xff\xe0"]
)
END = st.sampled_from([b"", _chunk(b"IEND", b""), _chunk(b"IDAT", BLACK) + _chunk(b"IEND", b"")])


@st.composite
def tiles(draw):
    """From nearly good to noise; some cut off, some with a byte changed."""
    data = draw(START) + b"".join(draw(CHUNKS)) + draw(END)
    if draw(st.booleans()):
        data = data[: draw(st.integers(0, len(data)))]
    if data and draw(st.booleans()):
        at = draw(st.integers(0, len(data) - 1))
        data = data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + 1 :]
    return data


class Reader:
    """The process of `hostile_reader`; it takes one tile after another."""

    def __init__(self):
        paths = os.pathsep.join([str(ROOT), str(IMAGES / "geo-diff")])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.services.hostile_reader"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"},
            cwd=ROOT,
        )
        self.idle_mib = self.read(good())["peak_mib"]

    def read(self, data):
        self._process.stdin.write(struct.pack(">I", len(data)) + data)
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the reader died of {data[:80]!r}: {self._process.wait()}"
        return json.loads(line)

    def close(self):
        self._process.stdin.close()
        self._process.wait(10)


def good():
    pixels = np.random.default_rng(3).integers(0, 256, (256, 256, 3), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.fixture(scope="module")
def reader():
    process = Reader()
    yield process
    process.close()


def untroubled(reader, data):
    """Each took it or refused it in its own words, and nobody grew."""
    answer = reader.read(data)
    peak = answer.pop("peak_mib")
    assert {} == {k: v for k, v in answer.items() if v != "taken" and v[:9] != "refused: "}, data
    assert peak <= reader.idle_mib + ALLOWED_MIB
    return answer


@pytest.mark.parametrize("kind", [b"IDAT", b"tEXt", b"fdAT", b"iCCP", b"abcd"])
def test_a_chunk_that_declares_two_gib_is_refused_before_it_is_decoded(kind, reader):
    """The 141 bytes that stopped the pipeline: OpenCV allocates what is declared, then reads."""
    tile = SIGNATURE + _chunk(b"IHDR", HEADER) + b"\x7f\xff\xff\xff" + kind + bytes(100)
    answer = untroubled(reader, tile)
    reason = f"chunk {kind.decode()} at byte 33 declares 2147483647 bytes; 96 are there"
    assert dict.fromkeys(("worker", "updater", "library"), True) == {
        who: reason in said for who, said in answer.items()
    }


def test_what_is_no_pixel_of_a_tile_never_reaches_the_decoder(reader):
    """An animation of a million frames, a rotation, a text that inflates to eight MiB."""
    extra = (
        _chunk(b"acTL", struct.pack(">II", 1_000_000, 0))
        + _chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 65_535, 65_535, 0, 0, 1, 1, 0, 0))
        + _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(8 << 20), 9))
    )
    whole = _chunk(b"IDAT", BLACK) + _chunk(b"IEND", b"")
    answer = untroubled(reader, SIGNATURE + _chunk(b"IHDR", HEADER) + extra + whole)
    assert {"worker": "taken", "updater": "taken", "library": "taken"} == answer


def test_a_good_tile_is_taken_after_all_of_them(reader):
    assert {"taken"} == set(untroubled(reader, good()).values())


@pytest.mark.hostile
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(tiles())
def test_no_tile_kills_its_reader_or_makes_it_grow(reader, data):
    untroubled(reader, data)
