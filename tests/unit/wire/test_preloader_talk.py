"""The talk with a preloader: announced exactly or rejected, answered exactly or rejected, not a byte too much read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passenger.wire.preloader import MAX_LINE, Answer, Forked, ForkTalk, NoAnswer, PreloaderTalk, Refused, fork_command
from passenger.wire.spawnevents import AnnouncedSocket, Broken, Fault, Ready

OFFER = b"!> I have control 1.0\n"


def announced(block: bytes) -> object:
    """How the talk with a preloader ends that says this in its Ready block."""
    talk = PreloaderTalk()
    talk.feed(OFFER)
    events = [*talk.feed(b"!> Ready\n" + block), *talk.feed_eof()]
    (end,) = [event for event in events if isinstance(event, Ready | Broken)]
    return end


def test_a_preloader_announces_one_path() -> None:
    """One key, no fields."""
    assert announced(b"!> socket: unix:/run/p/preloader.x\n!> \n") == Ready(
        (AnnouncedSocket("preloader", "unix:/run/p/preloader.x", "preloader", 1),), None
    )


@pytest.mark.parametrize(
    ("block", "fault"),
    [
        (b"!> socket: main;unix:/run/p/x;session;1\n!> \n", Fault.BAD_ADDRESS),
        (b"!> socket: unix:relative\n!> \n", Fault.BAD_ADDRESS),
        (b"!> socket: tcp://127.0.0.1:80\n!> \n", Fault.BAD_ADDRESS),
        (b"!> socket: unix:/a\n!> socket: unix:/b\n!> \n", Fault.TOO_MANY_SOCKETS),
        (b"!> pid: 12\n!> \n", Fault.UNKNOWN_KEY),
        (b"!> \n", Fault.NO_SOCKET),
        (b"!> socket\n!> \n", Fault.BAD_PAIR),
        (b"!> socket: unix:/a\n", Fault.ENDED_ANNOUNCING),
    ],
)
def test_other_announcements_are_faults(block: bytes, fault: Fault) -> None:
    """Each kind of nonsense has its name."""
    event = announced(block)
    assert isinstance(event, Broken)
    assert event.fault is fault


def answers(*pieces: bytes) -> tuple[list[Answer], bytes]:
    """What comes out of a talk, and what is left for the process."""
    talk = ForkTalk()
    found = [talk.feed(piece) for piece in pieces] + [talk.feed_eof()]
    return [answer for answer in found if answer is not None], talk.rest


@given(st.integers(1, 2**22), st.binary(max_size=64), st.data())
def test_what_is_behind_the_pid_belongs_to_the_process(pid: int, rest: bytes, data: st.DataObject) -> None:
    """However the bytes arrive."""
    whole = b"OK\n%d\n" % pid + rest
    cut = data.draw(st.integers(0, len(whole)))
    assert answers(whole[:cut], whole[cut:]) == ([Forked(pid)], rest)


@given(st.lists(st.binary(max_size=80), max_size=6))
def test_there_is_exactly_one_answer_whatever_comes(pieces: list[bytes]) -> None:
    """Never an exception, never two."""
    found, _ = answers(*pieces)
    assert len(found) == 1


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"OK\n",
        b"OK\n12",
        b"ok\n12\n",
        b"OK \n12\n",
        b"OK\n0\n",
        b"OK\n-1\n",
        b"OK\n+1\n",
        b"OK\n 12\n",
        b"OK\n012\n",
        b"OK\n12abc\n",
        b"OK\n4194305\n",
        b"OK\n99999999999\n",
        b"\n",
        b"\xff\xfe\n",
        b"x" * (MAX_LINE + 1),
        b"OK\n" + b"1" * 10_000,
    ],
)
def test_what_is_no_answer_is_said_to_be_none(said: bytes) -> None:
    """Pids are decimal, positive, and such as the kernel gives."""
    ((answer,), _) = answers(said)
    assert isinstance(answer, NoAnswer)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (b"Error\n!> \nno memory\n", "no memory\n"),
        (b"Error\n!> html: true\n!> \n<p>no</p>", "<p>no</p>"),
        (b"Error\n", ""),
        (b"Error\nwhat\n", ""),
    ],
)
def test_a_refusal_has_its_text(said: bytes, text: str) -> None:
    """As behind `!> Error`, until the end."""
    assert answers(said) == ([Refused(text)], b"")
    assert answers(*[said[i : i + 1] for i in range(len(said))]) == ([Refused(text)], b"")


def test_the_command_is_one_word_and_pairs() -> None:
    """Ended by an empty line; a value that would break a line is refused."""
    assert fork_command({"app_root": "/srv/blog", "empty": "", "base_uri": "/"}) == (
        b"spawn\napp_root: /srv/blog\nbase_uri: /\n\n"
    )
    with pytest.raises(ValueError, match="line end"):
        fork_command({"app_root": "/srv\nspawn"})
