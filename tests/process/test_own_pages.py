"""custom_error_page: read as the application's user, bounded, kept when it cannot be read anew."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from passenger.config.model import App
from passenger.core.own_pages import LARGEST, OwnPages
from passenger.log import Log
from tests.support.spawning import Place, place, run


@pytest.fixture(name="here")
def _here() -> Iterator[Place]:
    with place() as made:
        yield made


class Shown:
    """OwnPages, and what it has shown."""

    def __init__(self, here: Place) -> None:
        self._shown: list[Mapping[str, bytes]] = []
        self._event = asyncio.Event()
        self.pages = OwnPages(here.context(), self._show, Log(component="core", fd=here.log_fd))

    def _show(self, pages: Mapping[str, bytes]) -> None:
        self._shown.append(pages)
        self._event.set()

    async def after(self, apps: Mapping[str, App]) -> Mapping[str, bytes]:
        """The pages once these applications have been taken over."""
        self._event.clear()
        self.pages.apply(apps)
        async with asyncio.timeout(20):
            await self._event.wait()
        return self._shown[-1]


def app(here: Place, page: str | None = "sorry.html", **files: str) -> App:
    folder = here.root / "blog"
    made = here.app(
        "blog", {"passenger_wsgi.py": "", **{name.replace("_html", ".html"): text for name, text in files.items()}}
    )
    return App(app_root=made.app_root, custom_error_page=None if page is None else str(folder / page))


def test_it_is_read_at_each_reload_and_forgotten_with_its_key(here: Place) -> None:
    async def go() -> None:
        shown = Shown(here)
        assert await shown.after({"blog": app(here, sorry_html="one")}) == {"blog": b"one"}
        assert await shown.after({"blog": app(here, sorry_html="two")}) == {"blog": b"two"}
        (here.root / "blog" / "sorry.html").unlink()
        assert await shown.after({"blog": app(here)}) == {"blog": b"two"}, "better an old page than none"
        assert "custom_error_page cannot be shown" in here.log_text()
        assert "No such file" in here.log_text()
        assert await shown.after({"blog": app(here, None)}) == {}
        shown.pages.apply({"blog": app(here, None)})  # nothing to do

    run(go())


@pytest.mark.parametrize("kind", ["folder", "fifo", "large", "gone", "device"])
def test_what_is_no_small_file_is_no_page(here: Place, kind: str) -> None:
    """Nothing blocks, nothing grows."""
    made = app(here)
    page = Path(str(made.custom_error_page))
    if kind == "folder":
        page.mkdir()
    elif kind == "fifo":
        os.mkfifo(page)
        page.chmod(0o666)
    elif kind == "large":
        page.write_bytes(b"x" * (LARGEST + 1))
    elif kind == "device":
        page.symlink_to("/dev/zero")

    async def go() -> Mapping[str, bytes]:
        return await Shown(here).after({"blog": made})

    assert run(go()) == {}
    assert "custom_error_page cannot be shown" in here.log_text()


@pytest.mark.root("an application of another user points at a file of root's")
def test_a_link_to_what_only_root_may_read_shows_nothing(here: Place) -> None:
    """Whoever may change the folder must not make root show what it can read."""
    secret = here.root / "secret"
    secret.write_text("nobody's business")
    secret.chmod(0o600)
    made = app(here)
    Path(str(made.custom_error_page)).symlink_to("../secret")

    async def go() -> Mapping[str, bytes]:
        return await Shown(here).after({"blog": made})

    assert run(go()) == {}
    assert "business" not in here.log_text()
    assert "Permission denied" in here.log_text()
