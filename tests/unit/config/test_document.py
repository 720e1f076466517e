"""One merged document: plain values that know where they came from, read cheaply."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import passenger.config
from passenger.config.document import read
from passenger.config.reading_codes import READING_CODES

TEXT = "config_version = 1\n[apps.blog]\nuser = 'ann'\n"


def test_standard_input_is_shown_as_such_and_starts_paths_at_the_working_folder() -> None:
    for main in (None, "-"):
        document, problems = read(main, text=TEXT, environ={}, cwd="/srv")
        assert document is not None
        assert (document.files, problems) == (("<stdin>",), [])
        assert document.folder_of(("apps", "blog", "user")) == "/srv"
        assert document.source("<stdin>")[2] == "user = 'ann'"


def test_a_text_in_place_of_a_file_keeps_the_name_and_folder_of_the_file() -> None:
    document, _ = read("etc/p.toml", text=TEXT, environ={}, cwd="/srv")
    assert document is not None
    assert (document.files, document.folder_of(())) == (("etc/p.toml",), "/srv/etc")


@pytest.mark.parametrize("main", [None, "-"])
def test_nothing_to_read_is_a_mistake_of_the_caller(main: str | None) -> None:
    with pytest.raises(ValueError, match="needs a file or a text"):
        read(main, environ={}, cwd="/")


def test_a_file_is_found_from_the_given_working_folder(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "p.toml").write_text(TEXT)
    document, _ = read("etc/p.toml", environ={}, cwd=str(tmp_path))
    assert document is not None
    assert (document.files, document.folder_of(())) == (("etc/p.toml",), str(tmp_path / "etc"))


def test_a_value_that_nobody_set_is_a_default() -> None:
    document, _ = read(None, text=TEXT, environ={}, cwd="/")
    assert document is not None
    assert str(document.origin(("apps", "blog", "group"))) == "default"
    assert str(document.origin(("apps", "blog", "user"))) == "<stdin>:3:8"
    assert str(document.origin(("apps", "blog"))) == "<stdin>:2:1"


def test_the_values_of_the_document_are_not_those_of_the_files() -> None:
    """Changing a value must not change what is known of its place."""
    document, _ = read(None, text=TEXT, environ={}, cwd="/")
    assert document is not None
    document.data["apps"].clear()
    assert document.origin(("apps", "blog", "user")).kind == "file"


def test_reading_a_valid_file_loads_no_syntax_tree() -> None:
    """The index costs time and memory, so it is made only when a place is asked for."""
    code = (
        "import sys; from passenger.config.document import read\n"
        f"document, problems = read(None, text={TEXT!r}, environ={{'PASSENGER__apps__blog__group': 'x'}}, cwd='/')\n"
        "assert document.folder_of(('apps', 'blog', 'user')) == '/' and not problems\n"
        "assert 'tree_sitter' not in sys.modules and 'jsonschema' not in sys.modules\n"
        "document.key_span(('apps',)); assert 'tree_sitter' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_code_of_reading_is_registered_and_used() -> None:
    folder = Path(passenger.config.__file__).parent
    sources = [file.read_text() for file in folder.glob("*.py") if file.name != "reading_codes.py"]
    used = {code for text in sources for code in re.findall(r'"(E1\d\d)"', text)}
    assert used == set(READING_CODES)
