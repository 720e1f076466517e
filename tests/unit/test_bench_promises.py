"""How promises are judged: every request is accounted for, and what must not fail has not."""

from __future__ import annotations

import pytest

from tests.bench.promises import Case, Tally, page
from tests.support.load import Load, Outcome


def made(*statuses: int, sent: int | None = None, seconds: float = 0.01) -> Load:
    outcomes = [Outcome(1.0, 1.0 + seconds, status) for status in statuses]
    return Load(outcomes, len(outcomes) if sent is None else sent)


CASE = Case("something happens", "shop", lambda town, result: [], refusals=frozenset({503}), slower=2.0)


@pytest.mark.parametrize(
    ("during", "provoked", "missed"),
    [
        (made(200, 503), [(504, 504)], []),
        (made(200, 200, sent=3), [], ["4 sent, 3 accounted for"]),
        (made(200, 502), [], ["1 failed"]),
        (made(200, 0), [], ["1 failed"]),
        (made(200), [(200, 504)], ["1 failed"]),
        (made(200, seconds=0.03), [], ["p99 is 3.0 x the quiet one, promised less than 2.0 x"]),
        (made(503), [], ["p99 is nan x the quiet one, promised less than 2.0 x"]),
    ],
)
def test_what_counts_as_missed(during: Load, provoked: list[tuple[int, int]], missed: list[str]) -> None:
    assert Tally(CASE, made(200), during, provoked).missed == missed


def test_the_page_has_every_answer() -> None:
    text = page([Tally(CASE, made(200), made(200, 503, 503), [(504, 504)])])
    assert "| something happens | 5 | 200: 2, 503: 2, 504: 1 | 2 | 1 | 0 | 10.0 / 10.0 | 10.0 / 10.0 | kept |" in text
