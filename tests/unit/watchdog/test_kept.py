"""What a core leaves to the next one is bounded, whatever the core says."""

from __future__ import annotations

from passenger.watchdog.kept import LARGEST, MOST, Kept


def keep(kept: Kept, key: object, value: object) -> str:
    return kept.take({"event": "keep", "key": key, "value": value})


def test_the_last_word_counts_and_null_forgets() -> None:
    kept = Kept()
    assert keep(kept, "a", {"x": 1}) == ""
    assert keep(kept, "a", {"x": 2}) == ""
    assert keep(kept, "b", {"x": 3}) == ""
    assert keep(kept, "b", None) == ""
    assert kept.all() == {"a": {"x": 2}}


def test_too_much_is_refused_and_takes_the_old_value_with_it() -> None:
    kept = Kept()
    keep(kept, "a", {"x": 1})
    assert keep(kept, "a", {"x": "x" * LARGEST}) == "it is too much"
    assert keep(kept, 3, {}) == "it has no key"
    for number in range(MOST):
        assert keep(kept, str(number), {}) == ""
    assert keep(kept, "one more", {}) == "it is too much"
    assert len(kept.all()) == MOST
