"""docker/: generated files say what their templates say, and nothing that an old engine's classic builder cannot read."""

from __future__ import annotations

import re

import pytest

from docker.generate import HERE, artefacts, drifted, main
from docker.variants import VARIANTS

TEXTS = artefacts()


def test_nothing_has_drifted() -> None:
    assert drifted() == [], "run python -m docker.generate"
    assert main(["--check"]) == 0


def test_no_other_dockerfile_lies_about() -> None:
    """One that is no longer generated would be built by somebody all the same."""
    assert {path.name for path in HERE.glob("Dockerfile.*") if path.suffix != ".template"} == set(TEXTS)


@pytest.mark.parametrize("name", TEXTS)
def test_the_classic_builder_can_read_it(name: str) -> None:
    text = TEXTS[name]
    assert not re.search(r"# *syntax=|--mount|--link|--chmod|--start-interval|<<[A-Z]", text)
    assert "@" not in re.sub(r"@sha256", "", text), "a mark of the template was left"


def _final_stage(text: str) -> str:
    return re.split(r"(?m)^FROM ", text)[-1]


@pytest.mark.parametrize("name", [name for name in TEXTS if name != "Dockerfile.build"])
def test_images_that_serve(name: str) -> None:
    """A number as user (Kubernetes cannot judge names), no compiler, no pip, nothing of the builder's settings."""
    last = _final_stage(TEXTS[name])
    assert re.search(r"(?m)^USER (\$\{PASSENGER_UID\}|9999):0\n", last)
    assert not re.search(r"\b(gcc|g\+\+|make|npm|python3-pip|python3-venv|[a-z0-9]+-dev)\b", last)
    assert "settings" not in last
    for label in ("title", "version", "revision", "created", "source", "licenses", "base.name", "base.digest"):
        assert f'org.opencontainers.image.{label}="' in last


def test_base_runs_the_product_itself() -> None:
    last = _final_stage(TEXTS["Dockerfile.base"])
    assert 'ENTRYPOINT ["passenger", "container"]' in last
    assert "STOPSIGNAL SIGTERM" in last
    assert 'CMD ["passenger", "health", "--ready"]' in last


def test_full_has_what_each_language_has() -> None:
    packages = {variant.name: set(variant.packages) for variant in VARIANTS}
    assert packages["full"] == packages["python"] | packages["ruby"] | packages["node"]
