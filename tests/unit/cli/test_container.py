"""The entry point of the images: what its arguments mean, and secrets by file. Pure parts; hooks run in tests/process."""

from __future__ import annotations

from pathlib import Path

import pytest

from passenger.cli.container import CANNOT_EXECUTE, NOT_FOUND, ProgramMissingError
from passenger.cli.container_hooks import find_hooks
from passenger.cli.container_start import NOTHING, additions, start_arguments
from passenger.cli.filed_secrets import read_filed
from passenger.cli.start import start
from passenger.errors import HostError, InvalidConfigurationError

APP_CONFIG, SYSTEM_CONFIG = "/app/passenger.toml", "/etc/passenger/passenger.toml"
DRAIN = ["--set", "instances.app.watchdog.drain_timeout=8s"]


@pytest.mark.parametrize(
    ("given", "files", "environ", "wanted"),
    [
        (
            [],
            set(),
            {},
            ["/app", "--address", "0.0.0.0", "--port", "8080", "--environment", "production", *DRAIN],
        ),
        ([], {APP_CONFIG, SYSTEM_CONFIG}, {}, ["--config", APP_CONFIG]),
        ([], {SYSTEM_CONFIG}, {}, ["--config", SYSTEM_CONFIG]),
        (["--config", "/x.toml"], {APP_CONFIG}, {}, ["--config", "/x.toml"]),
        (["-c", "/x.toml"], {APP_CONFIG}, {}, ["-c", "/x.toml"]),
        (
            ["--port", "9000"],
            set(),
            {"RAILS_ENV": "staging"},
            ["--port", "9000", "/app", "--address", "0.0.0.0", "--environment", "staging", *DRAIN],
        ),
        (["--port", "9000"], {APP_CONFIG}, {}, ["--port", "9000", "--config", APP_CONFIG]),
        (["/srv"], {"/srv/passenger.toml", APP_CONFIG}, {}, ["/srv"]),
        (
            ["/srv", "-e", "test"],
            {APP_CONFIG},
            {"PASSENGER__instances__srv__watchdog__drain_timeout": "20s", "NODE_ENV": "staging"},
            ["/srv", "-e", "test", "--address", "0.0.0.0", "--port", "8080"],
        ),
    ],
)
def test_arguments_of_start(given: list[str], files: set[str], environ: dict[str, str], wanted: list[str]) -> None:
    """What was said wins; a configuration is taken as it is; else a container's defaults."""
    assert start_arguments(given, environ, exists=files.__contains__) == wanted


def test_without_arguments_the_request_is_the_same_as_that_of_no_options() -> None:
    """What is not parsed is what would have been parsed."""
    assert start.make_context("start", []).params.items() >= NOTHING.items()
    wanted = {"directory": "/app", "address": "0.0.0.0", "port": 8080, "environment": "production", "sets": (DRAIN[1],)}
    assert additions(NOTHING, {}, exists=lambda _: False) == wanted
    assert additions(NOTHING, {}, exists={APP_CONFIG, SYSTEM_CONFIG}.__contains__) == {"config_file": APP_CONFIG}


def test_first_environment_variable_of_the_list_wins() -> None:
    environ = {"NODE_ENV": "a", "PASSENGER_APP_ENV": "b", "RAILS_ENV": ""}
    assert "b" in start_arguments([], environ, exists=lambda _: False)


def test_secret_by_file_replaces_the_name_of_its_file() -> None:
    environ = {"DB_FILE": "/run/secrets/db", "SSL_CERT_FILE": "/etc/ssl/x.pem", "A": "1", "_FILE": "/run/secrets/x"}
    assert read_filed(environ, read=lambda path: f"of {path}\n\n") == {
        "DB": "of /run/secrets/db\n",
        "SSL_CERT_FILE": "/etc/ssl/x.pem",
        "A": "1",
        "_FILE": "/run/secrets/x",
    }


def _missing(path: str) -> str:
    raise FileNotFoundError(2, "No such file or directory", path)


def test_missing_secret_says_which_variable_and_what_to_do() -> None:
    with pytest.raises(InvalidConfigurationError, match="DB_FILE: the secret /run/secrets/db does not exist") as raised:
        read_filed({"DB_FILE": "/run/secrets/db"}, read=_missing)
    assert raised.value.exit_status == 78
    assert raised.value.hint


def test_name_and_file_together_are_a_mistake_and_no_value_is_told() -> None:
    with pytest.raises(InvalidConfigurationError, match="both DB and DB_FILE") as raised:
        read_filed({"DB_FILE": "/run/secrets/db", "DB": "hunter2"}, read=_missing)
    assert "hunter2" not in str(raised.value)


def test_secret_that_no_variable_can_hold() -> None:
    with pytest.raises(InvalidConfigurationError, match="NUL"):
        read_filed({"DB_FILE": "/run/secrets/db"}, read=lambda _: "a\0b")


def test_statuses_of_a_program_that_cannot_be_run_are_those_of_a_shell() -> None:
    assert ProgramMissingError("x", NOT_FOUND).exit_status == 127
    assert ProgramMissingError("x", CANNOT_EXECUTE).exit_status == 126


def _hook(folder: Path, name: str, mode: int = 0o755) -> None:
    (folder / name).write_text("#!/bin/sh\n")
    (folder / name).chmod(mode)


def test_hooks_are_in_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("10-b.sh", "2-a.envsh", "9-c.sh", ".hidden", "x.sh"):
        _hook(tmp_path, name)
    found = find_hooks(str(tmp_path))
    assert [Path(hook.path).name for hook in found] == ["2-a.envsh", "9-c.sh", "10-b.sh", "x.sh"]
    assert [hook.changes_environment for hook in found] == [True, False, False, False]


def test_no_folder_no_hooks(tmp_path: Path) -> None:
    assert find_hooks(str(tmp_path / "none")) == []


def test_a_file_that_would_not_be_run_is_an_error(tmp_path: Path) -> None:
    _hook(tmp_path, "a.sh", 0o644)
    with pytest.raises(HostError, match=r"a\.sh is not executable"):
        find_hooks(str(tmp_path))
    (tmp_path / "a.sh").unlink()
    _hook(tmp_path, "readme.txt")
    with pytest.raises(HostError, match=r"readme\.txt is no hook"):
        find_hooks(str(tmp_path))


def test_a_mistake_in_the_arguments_is_left_to_start_itself() -> None:
    """It explains it, with status 2; here it was a traceback."""
    assert start_arguments(["--prot", "80"], {}, exists=lambda _: False) == ["--prot", "80"]
