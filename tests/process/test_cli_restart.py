"""restart-app, detach-process and reload --wait against a core that answers what the test says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import passenger
from tests.support.fake_instance import Answer, fake_instances
from tests.support.statuses import core, group, restart

Answers = dict[tuple[str, str], Answer]


def answers(*names: str, verb: str = "restart", **apps: Any) -> Answers:
    """A core that runs these applications, and how their restarts end."""
    return {
        ("core_api", "status"): {"ok": True, "status": core(*map(group, names))},
        ("core_api", verb): {"ok": True, "apps": apps},
    }


def ask(given: Answers, *arguments: str, cwd: Path) -> tuple[int, str, list[dict[str, Any]]]:
    """Exit status, all output, and what the instance was asked."""
    with fake_instances("main", answers=given) as (instance,):
        done = passenger(*arguments, "--registry", str(instance.registry), cwd=cwd)
    return done.returncode, done.stdout + done.stderr, [question for _, question in instance.asked]


def test_the_only_application_needs_no_name(tmp_path: Path) -> None:
    status, text, asked = ask(answers("blog", blog=restart()), "restart-app", cwd=tmp_path)
    assert (status, text) == (0, "blog: restarted in 41.0 s\n")
    assert asked[-1] == {"verb": "restart", "method": "", "wait": 300.0, "apps": ["blog"]}


def test_one_of_several_must_be_named(tmp_path: Path) -> None:
    """Without a terminal nobody can be asked: status 2, with the list; nothing is restarted."""
    status, text, asked = ask(answers("blog", "shop"), "restart-app", cwd=tmp_path)
    assert status == 2
    assert "which application? Name it, or use --all." in text
    assert "1  blog  /srv/blog" in text
    assert [question["verb"] for question in asked] == ["status"]


def test_all_with_options(tmp_path: Path) -> None:
    given = answers("blog", "shop", blog=restart("running"), shop=None)
    status, text, asked = ask(given, "restart-app", "--all", "--method", "blocking", "--no-wait", cwd=tmp_path)
    assert status == 0
    assert text == (
        "blog: rolling restart is under way, 2 of 5 processes replaced\nshop: nothing was to be restarted\n"
    )
    assert asked[-1] == {"verb": "restart", "method": "blocking", "wait": 0, "all": True}


@pytest.mark.parametrize("state", ["failed", "running"])
def test_a_restart_that_does_not_end_well_is_status_one(state: str, tmp_path: Path) -> None:
    given = answers("blog", "shop", blog=restart(state), shop=restart())
    status, text, _ = ask(given, "restart-app", "blog", "shop", "--format", "json", cwd=tmp_path)
    assert status == 1
    assert json.loads(text)["apps"]["blog"]["state"] == state


def test_usage_and_unknown_names(tmp_path: Path) -> None:
    assert ask(answers("blog"), "restart-app", "--all", "blog", cwd=tmp_path)[0] == 2
    status, text, _ = ask(answers("blog"), "restart-app", "shop", cwd=tmp_path)
    assert status == 1
    assert "no application is called 'shop' or lies there" in text
    assert ask({}, "restart-app", "--instance", "other", cwd=tmp_path)[0] == 3


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("withdrawn", "process 4711 of blog takes no further request"),
        ("replaced first", "process 4711 of blog is the only one that serves: it is replaced first"),
        ("leaving already", "process 4711 of blog was told to end before"),
    ],
)
def test_detach(how: str, words: str, tmp_path: Path) -> None:
    """It says how the process goes; with --wait status 1 means that it still runs."""
    given: Answers = {("core_api", "detach"): {"ok": True, "pid": 4711, "app": "blog", "how": how, "gone": False}}
    status, text, asked = ask(given, "detach-process", "4711", cwd=tmp_path)
    assert status == 0
    assert words in text
    assert asked == [{"verb": "detach", "pid": 4711, "wait": 0.0}]
    status, text, asked = ask(given, "detach-process", "4711", "--wait", "--timeout", "0.5", cwd=tmp_path)
    assert status == 1
    assert "process 4711 still runs after 0.5 s" in text
    assert asked[-1]["wait"] == 0.5


def test_detach_of_a_stranger(tmp_path: Path) -> None:
    given: Answers = {
        ("core_api", "detach"): {"ok": False, "error": "process 1 is no application process", "hint": "x"}
    }
    status, text, _ = ask(given, "detach-process", "1", cwd=tmp_path)
    assert status == 1
    assert "error: process 1 is no application process" in text


@pytest.mark.parametrize(("state", "expected"), [("done", 0), ("failed", 1)])
def test_reload_waits_for_what_it_has_begun(state: str, expected: int, tmp_path: Path) -> None:
    given = answers("blog", verb="restarted", blog=restart(state))
    given["watchdog_api", "reload"] = {"ok": True, "report": {"core": {"rolling": ["blog"], "changed": []}}}
    status, text, asked = ask(given, "reload", "--wait", cwd=tmp_path)
    assert status == expected
    assert "instance main reloaded\n  rolling: blog\n  blog: restart" in text
    assert asked[-1] == {"verb": "restarted", "apps": ["blog"], "wait": 300.0}
