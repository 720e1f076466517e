"""The house rules that a program can check: sizes, forbidden words, links and names in the documents.

Layers and forbidden imports are held by import-linter (`./dev check`), lint and types by ruff and mypy.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[2]
ROOMS = ("passenger", "helper_scripts", "config", "tests")
LONGEST_FILE = 350
LONGEST_FUNCTION = 60
DOCUMENTS = [*sorted(HOUSE.glob("*.md")), *sorted((HOUSE / "docs").glob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")


def python_files(*rooms: str) -> list[Path]:
    """Every Python file of these rooms, but for what a user would write."""
    files = [path for room in rooms for path in sorted((HOUSE / room).rglob("*.py"))]
    return [path for path in files if "apps" not in path.relative_to(HOUSE).parts]


def lines_with(pattern: str, files: list[Path]) -> list[str]:
    """`file:line: text` of each line in which the pattern stands; this file does not count, it names them all."""
    wanted = re.compile(pattern)
    return [
        f"{path.relative_to(HOUSE)}:{number}: {line.strip()}"
        for path in files
        if path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if wanted.search(line)
    ]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_product_files_are_short() -> None:
    """One purpose per file."""
    sizes = {path: len(path.read_text().splitlines()) for path in python_files("passenger", "helper_scripts")}
    assert not {str(path.relative_to(HOUSE)): size for path, size in sizes.items() if size > LONGEST_FILE}


def test_functions_are_short() -> None:
    """In the product and in the tests of it."""
    long = [
        f"{path.relative_to(HOUSE)}:{node.lineno} {node.name}"
        for path in python_files("passenger", "helper_scripts", "tests")
        for node in functions(path)
        if node.end_lineno is not None and node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION
    ]
    assert not long


def test_nothing_is_left_for_later() -> None:
    """What is committed is done."""
    assert not lines_with(r"\b(TODO|FIXME|XXX|HACK)\b|\bNotImplementedError\b", python_files(*ROOMS))


def test_nothing_is_swallowed() -> None:
    """A blind `except` that only passes, or a blind `suppress`, hides defects."""
    silent = []
    for path in python_files(*ROOMS):
        for node in ast.walk(ast.parse(path.read_text())):
            blind = isinstance(node, ast.ExceptHandler) and (
                node.type is None
                or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"})
            )
            if blind and all(isinstance(step, ast.Pass | ast.Continue) for step in getattr(node, "body", [])):
                silent.append(f"{path.relative_to(HOUSE)}:{getattr(node, 'lineno', 0)}")
    assert not silent
    assert not lines_with(r"suppress\((Base)?Exception\)", python_files(*ROOMS))


def test_tests_do_not_wait_for_time() -> None:
    """They wait for a line, an exit, an event or an answer; `sleep(0)` waits for no time, it lets the loop turn."""
    assert not lines_with(r"\bsleep\((?!0\))", python_files("tests"))


def test_tests_are_left_out_for_lack_of_root_only() -> None:
    """By the marker `root`, which tests/conftest.py turns into a reason; nothing is expected to fail."""
    files = [path for path in python_files("tests") if path != HOUSE / "tests" / "conftest.py"]
    assert not lines_with(r"\bpytest\.(skip|importorskip|xfail)\b|\bmark\.(skip|skipif|xfail)\b", files)


def test_tests_say_what_they_promise() -> None:
    """Annotated, and with asserts somewhere behind them: a docstring in a sentence or a name of several words."""
    bad = [
        f"{path.relative_to(HOUSE)}:{node.lineno} {node.name}"
        for path in python_files("tests")
        for node in functions(path)
        if node.name.startswith("test_")
        and (node.returns is None or (ast.get_docstring(node) is None and node.name.count("_") < 3))
    ]
    assert not bad


def test_no_path_of_somebodys_machine() -> None:
    """Nothing is where the author happened to work."""
    places = r"[\"'( =](/work/|/home/(?!me\b|blog\b|shop\b|wheel\b)[a-z]+/|/root/\.|/Users/)"
    texts = [*python_files(*ROOMS), *DOCUMENTS, HOUSE / "dev", HOUSE / "pyproject.toml"]
    assert not lines_with(places, texts)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_of_documents_lead_somewhere(document: Path) -> None:
    """Relative links, with the heading they name."""
    broken = []
    for target in LINK.findall(document.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        page = (document.parent / name).resolve() if name else document
        if not page.exists() or (anchor and anchor not in headings(page)):
            broken.append(target)
    assert not broken


def headings(page: Path) -> set[str]:
    """The anchors of a Markdown page: its titles, and those that are written out."""
    text = page.read_text()
    titles = re.findall(r"^#+ +(.+?) *$", text, flags=re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


def test_the_map_of_the_house_is_true() -> None:
    """Every path and every dotted module name in backticks in docs/ARCHITECTURE.md exists."""
    text = (HOUSE / "docs" / "ARCHITECTURE.md").read_text()
    missing = [name for name in CODE.findall(text) if looks_like_a_place(name) and not exists(name)]
    assert not missing
    rooms = {path.parent.name for path in (HOUSE / "passenger").glob("*/__init__.py")}
    assert not [room for room in rooms if f"`{room}`" not in text], "a room that the map does not show"


def looks_like_a_place(name: str) -> bool:
    """`tests/unit`, `config/model.py`, `wire.scgi`; not `scgi_pass`, `./dev check` or `PATH_INFO`."""
    first = re.split(r"[./]", name)[0]
    rooms = {path.name for folder in (HOUSE, HOUSE / "passenger") for path in folder.iterdir() if path.is_dir()}
    return re.fullmatch(r"[\w./]+", name) is not None and first in rooms


def exists(name: str) -> bool:
    """As a path from the top or from `passenger`, as a module there, or as what a room offers."""
    dotted = name.replace(".", "/")
    tops = (HOUSE, HOUSE / "passenger")
    if any((top / name).exists() or (top / f"{dotted}.py").exists() or (top / dotted).is_dir() for top in tops):
        return True
    room, _, word = name.partition(".")  # `pool.get` is a method of the class that gave pool/pool.py its name
    source = HOUSE / "passenger" / room / f"{room}.py"
    return source.is_file() and re.search(rf"\bdef {word}\b", source.read_text()) is not None


def test_applications_are_under_the_eyes_of_a_validator() -> None:
    """Rack::Lint and wsgiref.validate see every application of the end-to-end tests: they judge our loaders, too."""
    places = {"*.ru": "use Rack::Lint", "*wsgi.py": "validator"}
    files = [(path, wanted) for name, wanted in places.items() for path in (HOUSE / "tests/e2e/apps").rglob(name)]
    assert len(files) > 5
    assert not [str(path) for path, wanted in files if wanted not in path.read_text()]
