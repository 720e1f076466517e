"""Where running instances are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from passenger.cli.running import registries

VARIABLE = "PASSENGER_INSTANCE_REGISTRY_DIR"


@pytest.mark.parametrize(
    ("named", "environ", "euid", "expected"),
    [
        (None, {}, 0, ["/run/passenger"]),
        (None, {"XDG_RUNTIME_DIR": "/run/user/7"}, 7, ["/run/user/7/passenger", "/run/passenger"]),
        (None, {}, 7, ["/tmp/passenger-7", "/run/passenger"]),
        (None, {VARIABLE: "/r"}, 7, ["/r"]),
        (None, {VARIABLE: "/r"}, 0, ["/r"]),
        (None, {VARIABLE: ""}, 0, ["/run/passenger"]),
        ("/named", {VARIABLE: "/r"}, 7, ["/named"]),
    ],
)
def test_registries(named: str | None, environ: dict[str, str], euid: int, expected: list[str]) -> None:
    """What is said explicitly is the only place; else one's own, then root's."""
    assert registries(named, environ, euid, run=Path("/nowhere")) == expected


def test_services_of_the_template_are_found(tmp_path: Path) -> None:
    """`passenger@shop` and `passenger@blog` have a registry each, beside root's."""
    for name in ("passenger-shop", "passenger", "passenger-blog", "postgresql"):
        (tmp_path / name).mkdir()
    found = registries(None, {}, 0, run=tmp_path)
    assert found == ["/run/passenger", f"{tmp_path}/passenger-blog", f"{tmp_path}/passenger-shop"]
    assert registries(None, {VARIABLE: "/r"}, 0, run=tmp_path) == ["/r"]


def test_relative_registry() -> None:
    """`--registry` starts at the current folder."""
    assert registries("here", {}, 0) == [str(Path.cwd() / "here")]
