"""Which limits go beyond ours, and who has to set them."""

from __future__ import annotations

import pytest

from passenger.config import amounts
from passenger.config.app_limits import AppCgroup, AppRlimits
from passenger.config.bounds import Bounds, beyond, needs_root, rlimits
from passenger.config.model import App
from passenger.spawn.limits import Limits, limits_for

GIB = 1 << 30
OURS = Bounds(hard={"RLIMIT_NOFILE": 1024, "RLIMIT_CORE": -1}, nice=0, oom_score_adj=100)


def app(**keys: object) -> App:
    return App(app_root="/srv", **keys)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "visible", "expected"),
    [
        ("512MiB", None, 512 << 20),
        ("25%", 2 * GIB, GIB // 2),
        ("25%", None, None),
        (None, GIB, None),
        ("1.5GB", GIB, 1_500_000_000),
    ],
)
def test_amounts_of_memory(text: str | None, visible: int | None, expected: int | None) -> None:
    """Sizes, and shares of what can be seen."""
    assert amounts.memory(text, visible) == expected


def test_cpus() -> None:
    """A share of one CPU, or a number of them."""
    assert [amounts.cpus(text) for text in ("50%", "150%", "1.5", "2")] == [0.5, 1.5, 1.5, 2.0]


def test_rlimits_in_the_words_of_the_kernel() -> None:
    """Counts, sizes, whole seconds, and no limit at all."""
    table = AppRlimits(nofile=99, nproc="unlimited", core="unlimited", stack="8MiB", cpu=1.2)
    assert rlimits(app(rlimits=table)) == {
        "RLIMIT_NOFILE": 99,
        "RLIMIT_NPROC": -1,
        "RLIMIT_CORE": -1,
        "RLIMIT_STACK": 8 << 20,
        "RLIMIT_CPU": 2,
    }


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"rlimits": AppRlimits(nofile=1024)}, []),
        ({"rlimits": AppRlimits(nofile=1025)}, [("rlimits", "nofile")]),
        ({"rlimits": AppRlimits(nofile="unlimited", core="unlimited")}, [("rlimits", "nofile")]),
        ({"nice": 0}, []),
        ({"nice": -1}, [("nice",)]),
        ({"oom_score_adj": 100}, []),
        ({"oom_score_adj": 99}, [("oom_score_adj",)]),
    ],
)
def test_beyond_our_own(keys: dict[str, object], expected: list[tuple[str, ...]]) -> None:
    """Only what is more than we have ourselves; unknown limits forbid nothing."""
    assert [found.keys for found in beyond(app(**keys), OURS)] == expected
    assert list(beyond(app(**keys), Bounds())) == []
    assert needs_root(app(**keys), lambda: OURS) is bool(expected)


def test_a_cgroup_needs_root_whatever_our_limits_are() -> None:
    """And nobody looks at the machine when an application has no limits."""
    assert needs_root(app(cgroup=AppCgroup(pids_max=1)), lambda: OURS)

    def never() -> Bounds:
        raise AssertionError

    assert not needs_root(app(), never)


def test_who_sets_what() -> None:
    """What needs a right comes from us, everything else from the application's user."""
    decided = limits_for(app(rlimits=AppRlimits(nofile=4096, core="0B"), nice=5, oom_score_adj=0), OURS)
    assert decided.own == Limits(rlimits={"RLIMIT_CORE": 0}, nice=5)
    assert decided.ours == Limits(rlimits={"RLIMIT_NOFILE": 4096}, oom_score_adj=0)
    assert decided.needs_help
    assert not limits_for(app(nice=5), OURS).needs_help
    assert limits_for(app(cgroup=AppCgroup(cpu_max="50%")), OURS).needs_help
