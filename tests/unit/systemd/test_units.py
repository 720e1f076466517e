"""Units of systemd: one source, no drift, and nothing in them that the targets' check complains about."""

from __future__ import annotations

from pathlib import Path

import pytest

from passenger.config.manifest_systemd import read_systemd
from passenger.systemd import generate, units

HOUSE = Path(__file__).resolve().parents[3]
SETTINGS = units.Settings()


def keys(text: str) -> dict[str, list[str]]:
    """Key -> values, in order."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def test_the_roles_copies_say_what_is_written_here() -> None:
    assert generate.drifted(HOUSE) == [], "run python -m passenger.systemd.generate"
    placed = {str(path.relative_to(HOUSE)) for path in (HOUSE / generate.FOLDER).rglob("*") if path.suffix != ".py"}
    of_units = {path for path in placed if path.rpartition(".")[2] in {"service", "socket", "slice", "conf"}}
    assert of_units == set(generate.artefacts()), "a copy that is no longer written would be installed all the same"


def test_drift_is_found_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"], tmp_path) == 1
    assert "passenger.service has drifted" in capsys.readouterr().err
    assert generate.main([], tmp_path) == 0
    assert generate.main(["--check"], tmp_path) == 0
    (tmp_path / generate.FOLDER / "passenger.slice").write_text("[Slice]\n")
    assert generate.main(["--check"], tmp_path) == 1
    assert generate.main(["--chekc"], tmp_path) == 2


def test_the_template_differs_in_names_only() -> None:
    """Of its folders and its configuration; each has its own conf.d."""
    one, many = units.service(SETTINGS).splitlines(), units.template(SETTINGS).splitlines()
    different = [(a, b) for a, b in zip(one, many, strict=True) if a != b]
    assert all(b.replace("-%i", "").replace("/%i", "").replace(" (%i)", "") == a for a, b in different)
    assert "ExecStart=/opt/passenger/bin/passenger start --config /etc/passenger/%i/passenger.toml" in many


def test_a_wrong_configuration_is_not_started_again_and_again() -> None:
    found = keys(units.service(SETTINGS))
    assert found["RestartPreventExitStatus"] == ["78"]
    assert "ExecStartPre" not in found, "its exit status is not looked at by RestartPreventExitStatus="
    assert found["ExecReload"][0].startswith("/opt/passenger/bin/passenger validate "), "checked before it is reloaded"


def test_what_kills_applications_is_left_out() -> None:
    """Measured with Node.js (JIT), Django and Ruby; docs/systemd.md says why, key by key."""
    found = keys(units.service(SETTINGS))
    for key in ("MemoryDenyWriteExecute", "ProcSubset", "PrivateUsers", "ProtectControlGroups"):
        assert key not in found
    assert not any("@resources" in value for value in found["SystemCallFilter"]), "limits are set by setrlimit"
    assert found["OOMPolicy"] == ["continue"], "one application that takes too much memory does not end the others"


@pytest.mark.parametrize("make", [units.service, units.template])
def test_validate_reads_what_the_unit_promises(make: object) -> None:
    """`validate --target systemd --manifest`."""
    settings = units.Settings(prefix="/srv/venv", user="web", group="site", stop=120.0)
    text = units.service(settings) if make is units.service else units.template(settings)
    target = read_systemd(text, "passenger.service")
    assert target.grace is not None
    assert target.grace.value == 120.0
    assert target.no_switching.value
    assert target.no_low_ports.value
    assert not target.no_cgroups.value, "Delegate= is there"
    assert target.read_only.value
    assert {"/srv", "/run/passenger" if make is units.service else "/run/passenger-%i", "/tmp"} <= set(target.writable)
    assert "User=web\nGroup=site\n" in text
    assert "ExecStart=/srv/venv/bin/passenger start" in text


def test_with_users_of_applications_validate_lets_them_be() -> None:
    target = read_systemd(units.service(SETTINGS) + units.dropin("per-app-users"), "passenger.service")
    assert not target.no_switching.value
    assert target.no_low_ports.value, "they need passenger.socket, or the drop-in for them"


def test_users_of_applications_and_low_ports_go_together() -> None:
    both = units.dropin("low-ports") + units.dropin("per-app-users")
    target = read_systemd(units.service(SETTINGS) + both, "passenger.service")
    assert not target.no_switching.value
    assert not target.no_low_ports.value


def test_systemd_257_leaves_the_right_to_switch_users() -> None:
    """It took CAP_SETUID from the service of a booted Debian 13: nginx had no workers, no application could start."""
    assert "CAP_SETUID" in " ".join(keys(units.dropin("per-app-users"))["AmbientCapabilities"])


def test_a_socket_names_every_address_and_both_families_stay_apart() -> None:
    found = keys(units.socket(["0.0.0.0:80", "[::]:80"]))
    assert found["ListenStream"] == ["0.0.0.0:80", "[::]:80"]
    assert found["BindIPv6Only"] == ["ipv6-only"]


@pytest.mark.parametrize("name", units.DROPINS)
def test_dropins_are_sections_with_the_mark(name: str) -> None:
    text = units.dropin(name)
    assert text.startswith(units.MARK)
    assert "\n[Service]\n" in text
    assert units.dropin_path("passenger.service", name) == f"passenger.service.d/10-{name}.conf"
