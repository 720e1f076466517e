"""The spawn talk: what is legal, what each kind of nonsense is called, and that nothing else can happen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passenger.wire.spawn import MAX_CONTROL_LINE, MAX_EXPLANATION, SpawnTalk, State, Token, request
from passenger.wire.spawnevents import (
    AnnouncedSocket,
    AnswerBegan,
    Broken,
    Event,
    Explained,
    Fault,
    Output,
    Ready,
    RequestWanted,
)

OFFER = b"!> I have control 1.0\n"
MAIN = b"!> socket: main;unix:/run/apps/wsgi.1;session;1\n"
SOCKET = AnnouncedSocket("main", "unix:/run/apps/wsgi.1", "session", 1)
READY = b"!> Ready\n" + MAIN + b"!> \n"


def spoken(data: bytes, *, step: int = 0) -> list[Event]:
    """All events of a whole talk, with consecutive output joined; `step` feeds so many bytes at a time."""
    talk = SpawnTalk()
    events: list[Event] = []
    for start in range(0, len(data), step or max(1, len(data))):
        events += talk.feed(data[start : start + (step or len(data))])
    events += talk.feed_eof()
    joined: list[Event] = []
    for event in events:
        if isinstance(event, Output) and joined and isinstance(joined[-1], Output):
            joined[-1] = Output(joined[-1].data + event.data)
        else:
            joined.append(event)
    return joined


def test_a_plain_start_is_request_answer_ready() -> None:
    """The talk of the protocol's own example."""
    assert spoken(OFFER + READY) == [RequestWanted(), AnswerBegan(), Ready((SOCKET,), None)]


def test_output_passes_through_wherever_it_stands() -> None:
    """Lines without the mark are the application's, also ones that nearly look like control lines."""
    data = b"hello\n" + OFFER + b"!>x\n!\n\n" + READY + b"!> Ready\nafter"
    assert spoken(data) == [
        Output(b"hello\n"),
        RequestWanted(),
        Output(b"!>x\n!\n\n"),
        AnswerBegan(),
        Ready((SOCKET,), None),
        Output(b"!> Ready\nafter"),
    ]


def test_a_mark_inside_a_line_is_no_control_line() -> None:
    """Only the start of a line counts, also over reads."""
    talk = SpawnTalk()
    assert talk.feed(b"partial ") == [Output(b"partial ")]
    assert talk.feed(b"!> Ready\n") == [Output(b"!> Ready\n")]
    assert talk.state is State.HANDSHAKE


def test_sockets_of_other_protocols_are_for_information() -> None:
    """The Rack loader also announces a debugging port."""
    data = OFFER + b"!> Ready\n" + MAIN + b"!> socket: http;tcp://127.0.0.1:9;http;1\n!> pid: 42\n!> \n"
    assert spoken(data)[-1] == Ready((SOCKET,), 42)


def test_a_loader_may_start_over() -> None:
    """It executed itself again: the request is sent again."""
    assert spoken(OFFER + OFFER + READY)[:2] == [RequestWanted(), RequestWanted()]


@pytest.mark.parametrize(("value", "expected"), [("stdin", True), ("carrier pigeon", False)])
def test_a_loader_says_how_requests_are_interrupted(value: str, expected: bool) -> None:  # noqa: FBT001
    """Another way than ours is as good as none."""
    data = OFFER + READY.replace(b"!> Ready\n", f"!> Ready\n!> interrupts: {value}\n".encode())
    assert spoken(data)[-1] == Ready((SOCKET,), None, interrupts=expected)


@pytest.mark.parametrize(("value", "expected"), [("http", True), ("smoke signals", False)])
def test_a_loader_says_how_it_is_asked_for_out_of_band_work(value: str, expected: bool) -> None:  # noqa: FBT001
    data = OFFER + READY.replace(b"!> Ready\n", f"!> Ready\n!> oobw: {value}\n".encode())
    assert spoken(data)[-1] == Ready((SOCKET,), None, errands=expected)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"!> Error\n!> \nno\ngem\n", Explained("no\ngem\n", html=False)),
        (OFFER + b"!> Error\n!> html: true\n!> color: red\n!> \n<b>x</b>", Explained("<b>x</b>", html=True)),
        (OFFER + b"!> Error\n", Explained("", html=False)),
        (OFFER + b"!> Error\n!> \n\xff!> Ready\n", Explained("\ufffd!> Ready\n", html=False)),
    ],
)
def test_an_error_block_is_an_explanation(data: bytes, expected: Explained) -> None:
    """Before and after the handshake, with and without attributes, whatever its text holds."""
    assert spoken(data)[-1] == expected


def test_an_explanation_is_capped() -> None:
    """A loader that never stops explaining costs no memory."""
    (event,) = spoken(b"!> Error\n!> \n" + b"x" * (10 * MAX_EXPLANATION))
    assert isinstance(event, Explained)
    assert len(event.text) == MAX_EXPLANATION


def ready(*lines: str) -> bytes:
    return OFFER + b"!> Ready\n" + "".join(f"!> {line}\n" for line in lines).encode()


def sockets(*values: str) -> bytes:
    return ready(*(f"socket: {value}" for value in values), "")


NONSENSE = [
    (b"", Fault.ENDED_EARLY),
    (b"Traceback...\n", Fault.ENDED_EARLY),
    (b"!> I have cont", Fault.ENDED_EARLY),
    (b"\x7fELF\x00\x01\x02\xff" * 100, Fault.ENDED_EARLY),
    (b"x" * 100_000, Fault.ENDED_EARLY),
    (b"!> I have control 2.0\n", Fault.VERSION),
    (b"!> I have control\n", Fault.VERSION),
    (b"!> I have control 1.0 \n", Fault.VERSION),
    (OFFER + b"!> I have control 0.9\n", Fault.VERSION),
    (OFFER * 9, Fault.TOO_MANY_HANDSHAKES),
    (b"!> Ready\n", Fault.UNEXPECTED),
    (b"!> \n", Fault.UNEXPECTED),
    (b"!> hello\n", Fault.UNEXPECTED),
    (b"!> socket: main;unix:/a;session;1\n", Fault.UNEXPECTED),
    (OFFER + b"!> \n", Fault.UNEXPECTED),
    (OFFER + b"!> pid: 3\n", Fault.UNEXPECTED),
    (OFFER + b"!> ready\n", Fault.UNEXPECTED),
    (ready("Ready"), Fault.UNEXPECTED),
    (ready("Error"), Fault.UNEXPECTED),
    (ready("I have control 1.0"), Fault.UNEXPECTED),
    (b"!> Error\n!> Ready\n", Fault.UNEXPECTED),
    (b"!> Error\n!> Error\n", Fault.UNEXPECTED),
    (b"!> Error\n!> nonsense\n", Fault.UNEXPECTED),
    (b"!> " + b"x" * MAX_CONTROL_LINE, Fault.TOO_LONG),
    (b"!> " + b"x" * MAX_CONTROL_LINE + b"\n", Fault.TOO_LONG),
    (b"!> " + b"x" * 10_000_000, Fault.TOO_LONG),
    (b"!> \xff\xfe\n", Fault.NOT_TEXT),
    (b"!> I have control 1.0\0\n", Fault.NOT_TEXT),
    (b"!> I have control 1.0\r\n", Fault.NOT_TEXT),
    (b"!> \x1b[31mred\n", Fault.NOT_TEXT),
    (ready("socket"), Fault.BAD_PAIR),
    (ready("socket:main"), Fault.BAD_PAIR),
    (ready("9: x"), Fault.BAD_PAIR),
    (ready("color: red"), Fault.UNKNOWN_KEY),
    (ready("interrupt: stdin"), Fault.UNKNOWN_KEY),
    (ready("html: true"), Fault.UNKNOWN_KEY),
    (ready(""), Fault.NO_SOCKET),
    (sockets("x;unix:/a;http;1"), Fault.NO_SOCKET),
    (sockets(""), Fault.BAD_SOCKET),
    (sockets("main"), Fault.BAD_SOCKET),
    (sockets("main;unix:/a;session"), Fault.BAD_SOCKET),
    (sockets("main;unix:/a;session;1;1"), Fault.BAD_SOCKET),
    (sockets(";unix:/a;session;1"), Fault.BAD_SOCKET),
    (sockets("main;;session;1"), Fault.BAD_SOCKET),
    (sockets("main;unix:a;session;1"), Fault.BAD_ADDRESS),
    (sockets("main;/a;session;1"), Fault.BAD_ADDRESS),
    (sockets("main;udp://1.2.3.4:5;session;1"), Fault.BAD_ADDRESS),
    (sockets("main;tcp://127.0.0.1;session;1"), Fault.BAD_ADDRESS),
    (sockets("main;tcp://127.0.0.1:123456;session;1"), Fault.BAD_ADDRESS),
    (sockets("main;unix:/a;session;-1"), Fault.BAD_CONCURRENCY),
    (sockets("main;unix:/a;session;1e3"), Fault.BAD_CONCURRENCY),
    (sockets("main;unix:/a;session;99999999999999999999"), Fault.BAD_CONCURRENCY),
    (sockets("main;unix:/a;session;9999999"), Fault.BAD_CONCURRENCY),
    (sockets("main;unix:/a;session;\u0663"), Fault.BAD_CONCURRENCY),
    (sockets("main;unix:/a;session;1", "main;unix:/b;session;1"), Fault.DUPLICATE_SOCKET),
    (sockets(*(f"s{n};unix:/{n};session;1" for n in range(4))), Fault.TOO_MANY_SOCKETS),
    (sockets(*(f"s{n};unix:/{n};http;1" for n in range(100))), Fault.TOO_MANY_SOCKETS),
    (ready("pid: -1"), Fault.BAD_PID),
    (ready("pid: 0"), Fault.BAD_PID),
    (ready("pid: 1", "pid: 2"), Fault.BAD_PID),
    (ready("pid: 99999999999"), Fault.BAD_PID),
    (OFFER, Fault.ENDED_LOADING),
    (OFFER + b"loading...\n", Fault.ENDED_LOADING),
    (OFFER + b"!> Rea", Fault.ENDED_LOADING),
    (OFFER + b"!> Ready\n", Fault.ENDED_ANNOUNCING),
    (OFFER + b"!> Ready\n" + MAIN + b"!> ", Fault.ENDED_ANNOUNCING),
    (OFFER + b"!> Ready\n" + MAIN + b"!>\n", Fault.ENDED_ANNOUNCING),
]


@pytest.mark.parametrize(("data", "fault"), NONSENSE, ids=lambda value: repr(value)[:40])
@pytest.mark.parametrize("step", [0, 1, 4093])
def test_each_kind_of_nonsense_has_its_name(data: bytes, fault: Fault, step: int) -> None:
    """Fault matrix B2, fed whole, byte by byte and in pieces: the same end."""
    if step == 1 and len(data) > 200_000:
        data = data[: MAX_CONTROL_LINE + 2]
    (broken,) = [event for event in spoken(data, step=step) if isinstance(event, Broken)]
    assert broken.fault is fault
    assert broken.detail.isprintable()
    assert len(broken.detail) < 400


def test_everything_after_a_fault_is_output() -> None:
    """The page shows what came, and nothing can begin anew."""
    events = spoken(b"!> Ready\n" + OFFER + READY)
    assert [type(event) for event in events] == [Broken, Output]


def test_nothing_but_control_lines_is_held_back() -> None:
    """Ten megabytes without a line end leave at once."""
    talk = SpawnTalk()
    piece = b"x" * 65536
    assert all(talk.feed(piece) == [Output(piece)] for _ in range(160))


def test_every_pair_of_state_and_token_is_defined() -> None:
    """What is not in the table is a fault, so no pair raises."""
    for state in State:
        for token in Token:
            talk = SpawnTalk()
            talk.state = state
            text = "socket: main;unix:/a;session;1" if token is Token.PAIR else "x"
            events = SpawnTalk.TRANSITIONS.get((state, token), SpawnTalk._unexpected)(talk, text)
            assert isinstance(events, list)


LINES = st.sampled_from(
    [OFFER, MAIN, b"!> Ready\n", b"!> Error\n", b"!> \n", b"!> pid: 7\n", b"!> html: true\n", b"hello\n", b"!>", b"! "]
)


@given(
    st.lists(st.one_of(LINES, st.binary(max_size=40)), max_size=12).map(b"".join), st.integers(min_value=1, max_value=9)
)
def test_any_bytes_are_understood_or_refused_whatever_their_pieces(data: bytes, step: int) -> None:
    """No exception, at most one end, no byte invented, and the pieces make no difference."""
    whole = spoken(data)
    assert spoken(data, step=step) == whole
    ends = [event for event in whole if isinstance(event, Broken | Ready | Explained)]
    assert len(ends) == 1
    assert sum(len(event.data) for event in whole if isinstance(event, Output)) <= len(data)


def test_a_request_leaves_out_what_is_unset() -> None:
    """A missing key means unset."""
    assert request({"app_root": "/srv", "group": ""}) == b"You have control 1.0\napp_root: /srv\n\n"


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b"])
def test_a_request_value_cannot_break_its_line(value: str) -> None:
    """Nothing of the configuration can add a key of its own."""
    with pytest.raises(ValueError, match="app_root"):
        request({"app_root": value})
