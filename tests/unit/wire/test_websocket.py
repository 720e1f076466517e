"""The end of frames in a WebSocket stream, whatever the pieces in which it comes."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from passenger.wire.websocket import FrameBoundaries, close_frame


def frame(opcode: int, payload: bytes, *, mask: bool, fin: bool) -> bytes:
    """One frame; the mask is all zeros, which changes nothing about lengths."""
    size = len(payload)
    bit = 0x80 if mask else 0
    if size < 126:
        length = bytes([bit | size])
    elif size < 65536:
        length = bytes([bit | 126]) + struct.pack("!H", size)
    else:
        length = bytes([bit | 127]) + struct.pack("!Q", size)
    return bytes([(0x80 if fin else 0) | opcode]) + length + (b"\0\0\0\0" if mask else b"") + payload


FRAMES = st.lists(
    st.builds(
        frame,
        st.sampled_from([0, 1, 2, 9, 10]),
        st.one_of(st.binary(max_size=130), st.integers(65530, 65540).map(bytes)),
        mask=st.booleans(),
        fin=st.booleans(),
    ),
    max_size=6,
)


@given(FRAMES, st.lists(st.integers(0, 400), max_size=20))
def test_boundaries_are_found_in_any_pieces(frames: list[bytes], cuts: list[int]) -> None:
    """At a boundary exactly where a frame has ended."""
    stream = b"".join(frames)
    ends = {0}
    for one in frames:
        ends.add(max(ends) + len(one))
    boundaries = FrameBoundaries()
    at = 0
    for cut in [*cuts, len(stream)]:
        boundaries.follow(stream[at : at + cut])
        at = min(at + cut, len(stream))
        assert boundaries.at_boundary == (at in ends)
    assert not boundaries.closing


@given(FRAMES, st.integers(0, 70_000))
def test_finish_stops_at_the_first_boundary(frames: list[bytes], cut: int) -> None:
    """What is passed on ends with the frame that has begun; the frames behind it stay out."""
    stream = b"".join(frames)
    cut = min(cut, len(stream))
    boundaries = FrameBoundaries()
    boundaries.follow(stream[:cut])
    end = 0
    for one in frames:
        end = end + len(one) if end < cut else end
    assert cut + boundaries.finish(stream[cut:]) == end
    assert boundaries.at_boundary


@given(FRAMES)
def test_a_close_frame_is_noticed(frames: list[bytes]) -> None:
    """Also before it is whole: nobody else may close any more."""
    boundaries = FrameBoundaries()
    boundaries.follow(b"".join(frames))
    before = boundaries.closing
    boundaries.follow(close_frame(1001)[:2])
    assert (before, boundaries.closing, boundaries.at_boundary) == (False, True, False)


def test_close_frame_is_that_of_a_server() -> None:
    """RFC 6455, 5.5.1: status in network order, no mask."""
    assert close_frame(1012) == b"\x88\x02\x03\xf4"
