"""What the service manager is told, message by message."""

from __future__ import annotations

from passenger.watchdog.notices import Notices

FINE = "1 application, 2 processes, 0 requests queued"


def ready() -> Notices:
    notices = Notices()
    notices.beat(started=True, text=FINE)
    assert notices.announced() == [f"READY=1\nSTATUS={FINE}"]
    return notices


def test_ready_is_said_when_nginx_and_the_applications_are() -> None:
    """In whatever order; until then every sign of progress buys time."""
    notices = Notices()
    (first,) = notices.beat(started=False, text="1 application, 0 processes (1 starting), 0 requests queued")
    assert "READY" not in first
    assert "EXTEND_TIMEOUT_USEC=60000000" in first
    (second,) = notices.announced()
    assert "READY" not in second, "the core serves, and the application does not yet"
    assert notices.beat(started=True, text=FINE) == [f"READY=1\nSTATUS={FINE}"]
    assert notices.is_ready


def test_ready_is_said_once_and_the_status_when_it_changes() -> None:
    notices = ready()
    assert notices.beat(started=True, text=FINE) == []
    assert notices.beat(started=True, text="other") == ["STATUS=other"]
    assert notices.unwell("core is waiting to be restarted") == ["STATUS=core is waiting to be restarted"]
    assert notices.unwell("core is waiting to be restarted") == []
    assert notices.beat(started=False, text=FINE) == [f"STATUS={FINE}"], "a new core, whose applications start again"


def test_a_reload_is_one_message_with_the_monotonic_time_and_ends_with_ready() -> None:
    notices = ready()
    assert notices.reloading(12.5) == ["RELOADING=1\nMONOTONIC_USEC=12500000\nSTATUS=reloading"]
    assert notices.reloaded("") == [f"READY=1\nSTATUS={FINE}"]
    notices.reloading(13.0)
    assert notices.reloaded("error[E201]: unknown key\n --> x.toml") == [
        "READY=1\nSTATUS=the last reload changed nothing: error[E201]: unknown key"
    ]


def test_nothing_is_said_of_reloads_before_ready_and_after_stopping() -> None:
    notices = Notices()
    assert notices.reloading(1.0) + notices.reloaded("") == []
    notices = ready()
    notices.reloading(1.0)
    notices.stopping(60)
    assert notices.reloaded("the instance is being stopped") == []
    assert notices.beat(started=True, text="later") == []


def test_a_stop_asks_for_the_time_that_it_may_take_once() -> None:
    notices = ready()
    (message,) = notices.stopping(65.0)
    assert message.startswith("STOPPING=1\nSTATUS=stopping")
    assert "EXTEND_TIMEOUT_USEC=80000000" in message
    assert notices.stopping(0.0) == []


def test_a_stop_while_starting_is_not_followed_by_ready() -> None:
    notices = Notices()
    notices.stopping(1.0)
    assert notices.announced() + notices.beat(started=True, text=FINE) == []
