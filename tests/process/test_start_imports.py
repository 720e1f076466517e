"""What a start has loaded at the moments that count."""

from __future__ import annotations

import subprocess
import sys

from tests.support.commands import clean_environment


def said_by(code: str) -> set[str]:
    """The words that a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True, timeout=60, env=clean_environment()
    )  # fmt: skip
    return set(done.stdout.split())


def test_before_a_containers_core_begins_hardly_anything_is_loaded() -> None:
    """It takes longer to load than the command line itself: what comes before it makes every start later."""
    loaded = said_by("import sys, passenger.cli.main, passenger.cli.container; print(*sys.modules)")
    assert "passenger.cli.early_core" in loaded
    assert not loaded & {
        *("dataclasses", "inspect", "pathlib", "shutil", "json", "tomllib", "click"),
        *("passenger.instance.plan", "passenger.cli.configuration", "passenger.cli.container_hooks"),
    }


def test_planning_in_a_container_is_loaded_without_inspect() -> None:
    """`dataclasses` imports it for nothing that happens here; whoever asks it something gets the real one."""
    load = (
        "import sys; from passenger.later_inspect import import_inspect_later as later; later();"
        "import passenger.cli.container_start, passenger.config.load, passenger.webserver.tree;"
    )
    assert not said_by(load + "print(*sys.modules)") & {"dis", "tokenize", "click", "jsonschema"}
    assert said_by(load + "import inspect; print(inspect.isfunction(later), inspect.__file__)") > {"True"}
    assert "dis" in said_by(load + "import inspect; inspect.isfunction(later); print(*sys.modules)")
