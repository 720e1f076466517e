"""`passenger validate` and `passenger config` as their users meet them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from tests.support.commands import passenger

GOOD = """config_version = 1
[instances.main.nginx]
listen = ["127.0.0.1:18099"]
[apps.blog]
app_root = "."
env.KEY = { file = "secret" }
env.COLOUR = "blue"
"""
BAD = GOOD.replace("app_root", "app_rot").replace("env.COLOUR", "spwan_method")
WARNS = GOOD + '[instances.idle]\n[instances.idle.nginx]\nmode = "off"\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with an application, a secret, and a valid configuration."""
    (tmp_path / "passenger_wsgi.py").write_text("def application(environ, start_response): ...\n")
    (tmp_path / "secret").write_text("sesame\n")
    (tmp_path / "passenger.toml").write_text(GOOD)
    return tmp_path


def test_valid(project: Path) -> None:
    """Exit status 0 and one line; the file is found by its name."""
    done = passenger("validate", "--no-environment", cwd=project)
    assert (done.returncode, done.stdout, done.stderr) == (0, "passenger.toml: valid\n", "")


def test_every_mistake_is_shown(project: Path) -> None:
    """Two mistakes, two carets, exit status 78."""
    (project / "passenger.toml").write_text(BAD)
    done = passenger("validate", cwd=project)
    assert done.returncode == 78
    assert done.stderr.count("-->") >= 2
    assert "spawn_method" in done.stderr
    assert "app_root" in done.stderr
    assert done.stdout == ""


def test_host_stage_runs_unless_left_out(project: Path) -> None:
    """A missing folder is this host's problem only."""
    text = GOOD.replace('app_root = "."', 'app_root = "/nowhere/at/all"')
    (project / "passenger.toml").write_text(text)
    assert passenger("validate", cwd=project).returncode == 78
    assert passenger("validate", "--no-environment", cwd=project).returncode == 0


def test_standard_input(project: Path) -> None:
    """`-` reads it; places are shown as <stdin>."""
    good = passenger("validate", "--no-environment", "-", cwd=project, stdin=GOOD)
    assert (good.returncode, good.stdout) == (0, "<stdin>: valid\n")
    bad = passenger("validate", "--no-environment", "-", cwd=project, stdin=BAD)
    assert bad.returncode == 78
    assert "<stdin>:5:1" in bad.stderr


def test_standard_input_that_is_no_text(project: Path) -> None:
    """Bytes that are not UTF-8 are a diagnostic too."""
    done = passenger("validate", "-", cwd=project, stdin=b"config_version = 1\nx = '\xff'\n")
    assert done.returncode == 78
    assert "UTF-8" in done.stderr
    assert "Traceback" not in done.stderr


def test_set_overrides_are_checked(project: Path) -> None:
    """A flag is as wrong as a line in the file, and is named."""
    assert passenger("validate", "--no-environment", "--set", "apps.blog.min_instances=2", cwd=project).returncode == 0
    done = passenger("validate", "--no-environment", "--set", "apps.blog.min_instances=-2", cwd=project)
    assert done.returncode == 78
    assert "min_instances" in done.stderr


def test_json(project: Path) -> None:
    """One object on stdout."""
    (project / "passenger.toml").write_text(BAD)
    done = passenger("validate", "--format", "json", "--no-environment", cwd=project)
    assert done.returncode == 78
    report = json.loads(done.stdout)
    assert report["valid"] is False
    assert {found["code"] for found in report["diagnostics"]} >= {"E204"}


def test_sarif(project: Path) -> None:
    """What code scanning services read."""
    (project / "passenger.toml").write_text(BAD)
    done = passenger("validate", "--format", "sarif", "--no-environment", cwd=project)
    log = json.loads(done.stdout)
    assert log["version"] == "2.1.0"
    assert log["runs"][0]["results"]


def test_github(project: Path) -> None:
    """Workflow commands, one per mistake; nothing when there is none."""
    assert passenger("validate", "--format", "github", "--no-environment", cwd=project).stdout == ""
    (project / "passenger.toml").write_text(BAD)
    done = passenger("validate", "--format", "github", "--no-environment", cwd=project)
    assert done.returncode == 78
    assert done.stdout.startswith("::error file=passenger.toml,line=")


def test_warnings_fail_only_on_request(project: Path) -> None:
    """`--deny-warnings` is for CI."""
    (project / "passenger.toml").write_text(WARNS.replace('app_root = "."', 'app_root = "."\ninstance = "main"'))
    fine = passenger("validate", "--no-environment", cwd=project)
    assert (fine.returncode, fine.stdout) == (0, "passenger.toml: valid\n")
    assert "W301" in fine.stderr
    denied = passenger("validate", "--no-environment", "--deny-warnings", cwd=project)
    assert (denied.returncode, denied.stdout) == (78, "")


def test_no_file_anywhere(tmp_path: Path) -> None:
    """Both places are named."""
    done = passenger("validate", cwd=tmp_path)
    assert done.returncode == 78
    assert str(tmp_path / "passenger.toml") in done.stderr
    assert "/etc/passenger/passenger.toml" in done.stderr


def test_named_file_that_is_missing(tmp_path: Path) -> None:
    """A diagnostic with a code."""
    done = passenger("validate", "other.toml", cwd=tmp_path)
    assert done.returncode == 78
    assert "E101" in done.stderr


def test_config_show_never_shows_a_secret(project: Path) -> None:
    """In none of the forms; the secret file need not even be readable."""
    (project / "secret").unlink()
    for form in (["--format", "toml"], ["--format", "json"], ["--origin"], ["--origin", "--format", "json"]):
        done = passenger("config", "show", *form, cwd=project)
        assert done.returncode == 0, done.stderr
        assert "<secret>" in done.stdout
        assert "sesame" not in done.stdout


def test_config_show_is_a_configuration(project: Path) -> None:
    """What is printed can be checked again."""
    shown = passenger("config", "show", cwd=project).stdout
    assert tomllib.loads(shown)["apps"]["blog"]["start_timeout"] == "90s"
    again = passenger("validate", "--no-environment", "-", cwd=project, stdin=shown)
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize("command", [["config", "show"], ["config", "render"], ["env"], ["start"]])
def test_only_validate_reads_standard_input(command: list[str], project: Path) -> None:
    """The others say so."""
    done = passenger(*command, "--config", "-", cwd=project, stdin=GOOD)
    assert done.returncode == 2
    assert "standard input" in done.stderr


def test_config_show_origin(project: Path) -> None:
    """File, flag, variable, default."""
    done = passenger(
        "config",
        "show",
        "--origin",
        "--set",
        "apps.blog.min_instances=2",
        cwd=project,
        PASSENGER__apps__blog__thread_count="4",
    )
    lines = {line.split(" = ")[0]: line for line in done.stdout.splitlines()}
    assert "passenger.toml:3:10" in lines["instances.main.nginx.listen"]
    assert "--set" in lines["apps.blog.min_instances"]
    assert "PASSENGER__apps__blog__thread_count" in lines["apps.blog.thread_count"]
    assert lines["apps.blog.base_uri"].endswith("# default")


def test_config_show_of_a_broken_file(project: Path) -> None:
    """The same report as `validate`, the same exit status."""
    (project / "passenger.toml").write_text(BAD)
    done = passenger("config", "show", cwd=project)
    assert done.returncode == 78
    assert "E204" in done.stderr


def test_config_keys(project: Path) -> None:
    """One record per key; a prefix narrows it down."""
    keys = json.loads(passenger("config", "keys", "--format", "json", cwd=project).stdout)
    assert {"key", "type", "default", "reload", "since", "doc"} <= set(keys[0])
    assert len(keys) > 50
    text = passenger("config", "keys", "apps.NAME.nginx", cwd=project).stdout
    assert "apps.NAME.nginx.client_max_body_size (size; default" in text
    assert "instances." not in text


def test_config_schema(project: Path) -> None:
    """The file that travels with the package."""
    schema = json.loads(passenger("config", "schema", cwd=project).stdout)
    assert schema["additionalProperties"] is False
    assert "apps" in schema["properties"]


def test_config_render(project: Path) -> None:
    """To the terminal or below a folder; the connect secret is a placeholder."""
    done = passenger("config", "render", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "# ---- main/nginx.conf" in done.stdout
    assert "listen 127.0.0.1:18099" in done.stdout
    written = passenger("config", "render", "--out", "out", cwd=project)
    assert written.returncode == 0, written.stderr
    assert (project / "out/main/nginx.conf").read_text() in done.stdout + "\n"
    unknown = passenger("config", "render", "--instance", "other", cwd=project)
    assert unknown.returncode == 3


def test_config_render_where_nothing_can_be_written(project: Path) -> None:
    """A sentence with the path."""
    (project / "out").write_text("a file, not a folder")
    done = passenger("config", "render", "--out", "out", cwd=project)
    assert done.returncode == 1
    assert "cannot write" in done.stderr


def test_version(tmp_path: Path) -> None:
    """For people and for programs."""
    assert passenger("version", cwd=tmp_path).stdout.startswith("passenger ")
    assert json.loads(passenger("version", "--format", "json", cwd=tmp_path).stdout)["passenger"]


MANIFEST = """services:
  web:
    image: passenger-in-python:python
    mem_limit: 512m
    stop_grace_period: 70s
    ports: ["80:18099"]
"""


def test_target(project: Path) -> None:
    """The place where it is to run instead of this host; what a manifest says is compared, its own lines are shown."""
    (project / "passenger.toml").write_text(GOOD.replace("127.0.0.1", "0.0.0.0").replace('"."', '"/srv/not/here"'))
    (project / "compose.yaml").write_text(MANIFEST)
    there = ("validate", "--target", "container", "--manifest")
    done = passenger(*there, "compose.yaml", cwd=project)
    assert (done.returncode, done.stdout, done.stderr) == (0, "passenger.toml: valid\n", "")
    (project / "compose.yaml").write_text(MANIFEST.replace("18099", "8000"))
    done = passenger(*there, "compose.yaml", cwd=project)
    assert done.returncode == 78
    assert "nothing listens on port 8000" in done.stderr
    assert 'ports: ["80:8000"]' in done.stderr
    found = json.loads(passenger(*there, "compose.yaml", "--format", "json", cwd=project).stdout)
    assert [(one["code"], one["file"], one["start"]["line"]) for one in found["diagnostics"]] == [
        ("E513", "compose.yaml", 6)
    ]


def test_target_without_its_manifest(project: Path) -> None:
    """A manifest that cannot be read is said beside the configuration's own mistakes; options that lack another are usage."""
    done = passenger("validate", "--target", "container", "--manifest", "nowhere.yaml", cwd=project)
    assert done.returncode == 78
    assert "error[E501]: the manifest nowhere.yaml cannot be read: No such file" in done.stderr
    assert passenger("validate", "--target", "container", cwd=project).returncode == 78, "it listens on loopback"
    assert passenger("validate", "--manifest", "compose.yaml", cwd=project).returncode == 2
    assert passenger("validate", "-", "--target", "kubernetes", "--manifest", "-", cwd=project).returncode == 2
