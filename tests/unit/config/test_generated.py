"""What is generated from the model: nothing has drifted, nothing is missing, every pointer points somewhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from passenger.config.codes import CODES
from passenger.config.example import LEFT_OUT, example, uncommented
from passenger.config.generate import artefacts, drifted, main, write
from passenger.config.keys import keys_of, tables
from passenger.config.load import load
from passenger.config.reference import reference

ROOT = Path(__file__).parents[3]
BAD = Path(__file__).parent / "bad"


def test_nothing_has_drifted() -> None:
    """Schema, reference page and example in the checkout say what the model says."""
    assert drifted(ROOT) == []


def test_drift_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` names what differs and fails; without it everything is written."""
    assert main(["--check"], tmp_path) == 1
    assert "docs/configuration.md has drifted" in capsys.readouterr().err
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
    (tmp_path / "schema" / "passenger.schema.json").write_text("{}")
    assert drifted(tmp_path) == ["schema/passenger.schema.json"]
    assert main(["--what"], tmp_path) == 2


def test_written_as_generated(tmp_path: Path) -> None:
    """Every artefact lands under its name."""
    write(tmp_path)
    assert {name: (tmp_path / name).read_text(encoding="utf-8") for name in artefacts()} == artefacts()


def test_example_starts_with_its_schema() -> None:
    """The first line of the example leads editors to the schema."""
    first = example().splitlines()[0]
    assert first == "#:schema ../schema/passenger.schema.json"
    assert (ROOT / "config" / first.removeprefix("#:schema ")).resolve() == ROOT / "schema" / "passenger.schema.json"


@pytest.mark.parametrize("text", [example(), uncommented(example())])
def test_example_is_valid(text: str) -> None:
    """The example has no error, as it is and with every setting switched on."""
    loaded = load(None, text=text, environ={}, cwd="/", host=None)
    assert [item for item in loaded.diagnostics if item.severity == "error"] == []
    assert loaded.config is not None


def test_example_shows_every_key() -> None:
    """Every key of every table is switched on in the uncommented example, but for those that exclude another."""
    document = tomllib.loads(uncommented(example()))
    shown = {
        "instances": document["instances"]["main"],
        "apps": document["apps"]["blog"],
        "instances.core": document["instances"]["main"]["core"],
        "instances.watchdog": document["instances"]["main"]["watchdog"],
        "instances.hooks": document["instances"]["main"]["hooks"],
        "instances.nginx": document["instances"]["main"]["nginx"],
        "instances.nginx.listen": {
            **document["instances"]["main"]["nginx"]["listen"][1],
            **document["instances"]["main"]["nginx"]["listen"][2],
        },
        "instances.telemetry": document["instances"]["main"]["telemetry"],
        "instances.telemetry.otlp": document["instances"]["main"]["telemetry"]["otlp"],
        "instances.telemetry.http": document["instances"]["main"]["telemetry"]["http"],
        "instances.telemetry.json_lines": document["instances"]["main"]["telemetry"]["json_lines"],
        "instances.admin": document["instances"]["main"]["admin"],
        "apps.inherit": document["apps"]["blog"]["inherit"],
        "apps.cache": document["apps"]["blog"]["cache"],
        "apps.telemetry": document["apps"]["blog"]["telemetry"],
        "apps.nginx": document["apps"]["blog"]["nginx"],
        "apps.rlimits": document["apps"]["blog"]["rlimits"],
        "apps.cgroup": document["apps"]["blog"]["cgroup"],
    }
    assert set(shown) == set(tables()) - {""}
    for name, table in shown.items():
        assert set(keys_of(tables()[name])) - set(LEFT_OUT) == set(table), name


def test_page_is_the_same_for_every_python() -> None:
    """Python 3.13 takes the indentation out of docstrings, older ones do not."""
    assert [line for line in reference().splitlines() if line.startswith("    ")] == []


def test_every_pointer_has_its_anchor() -> None:
    """The places of the reference page that reports point to exist, each once."""
    anchors = re.findall(r'<a id="([^"]+)"></a>', reference())
    assert len(anchors) == len(set(anchors))
    pointers = {
        line.rpartition(", ")[2]
        for report in BAD.glob("*.txt")
        for line in report.read_text(encoding="utf-8").splitlines()
        if line.lstrip().startswith("= docs:")
    }
    assert len(pointers) > 30
    assert pointers <= set(anchors)


def test_every_key_has_a_row() -> None:
    """Each key of each table stands in the reference page."""
    page = reference()
    for name, table in tables().items():
        for key, spec in keys_of(table).items():
            place = f"{name}.{key}".lstrip(".")
            assert f'<a id="{place}"></a>' in page, place
            assert spec.key.doc.split(". ")[0] in page


def test_every_code_is_registered() -> None:
    """No diagnostic has a code without a meaning, and no meaning is without a diagnostic."""
    sources = [path for path in (ROOT / "passenger" / "config").glob("*.py") if "codes" not in path.name]
    used = {code for path in sources for code in re.findall(r'"([EW][1-5][0-9]{2})"', path.read_text(encoding="utf-8"))}
    assert used == set(CODES)
    assert all(f"| {code} |" in reference() for code in CODES)
