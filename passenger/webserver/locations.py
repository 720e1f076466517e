"""The locations of one application in one server: static files first, then the application.

Rules.
1. Static is GET and HEAD of a regular file below the document root; everything else is the application's: folders,
   dotfiles, symbolic links, other methods, and what does not exist. Folders are never listed.
2. `/blog` and `/blog/...` belong to the base URI `/blog`; `/blogger` does not.
3. No `alias` with `try_files`, no captures, no rewritten URIs: each has a history of opening what it should not.
   Below a base URI the file is found by `alias` and one `if` that does nothing but `return`.
4. Files are looked up through nginx's cache: what appears, changes or disappears is noticed within a second.
5. `index.html` of the document root answers for the root of the application, as in Passenger.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from typing import Final

from passenger.config.model import App
from passenger.webserver.scgi import seconds_text
from passenger.webserver.tree import Directive, Expression, Fixed, UnrenderableValueError, block, directive

DEFAULT_DOCUMENT_ROOT: Final = "public"

CACHED_FILES: Final = 1000
"""Each may hold a descriptor for ten seconds."""

_DOTFILE: Final = Expression("/[.]")


def document_root(app: App, *, is_folder: Callable[[str], bool]) -> str | None:
    """The folder of static files, without a slash at its end; None = no static files.

    A configured folder counts whether it exists or not; the default one only when it exists, because every look for
    a static file costs each request to the application time. Raises UnrenderableValueError for a relative path.
    """
    folder = posixpath.join(app.app_root, app.document_root or DEFAULT_DOCUMENT_ROOT)
    if app.document_root is None and not is_folder(folder):
        return None
    if not folder.startswith("/") or not folder.strip("/"):
        raise UnrenderableValueError(
            f"{folder!r} cannot be a document root", hint="`document_root` must be a folder of its own, not `/`"
        )
    return posixpath.normpath(folder)


def file_cache() -> list[Directive]:
    """One cache of looked-up files per worker (rule 4); it also spares the looks for files that do not exist."""
    return [
        directive("open_file_cache", f"max={CACHED_FILES}", "inactive=10s"),
        directive("open_file_cache_valid", "1s"),
        directive("open_file_cache_errors", "on"),
    ]


def app_file(name: str) -> str:
    """Name of the file that holds how requests get to an application."""
    return f"app-{name}.conf"


def app_locations(
    name: str, app: App, *, root: str | None, folder: str, mark: Sequence[Directive] = ()
) -> list[Directive]:
    """Every location of an application but that for upgrades; `folder` is where included files are.

    `mark` says in locations of static files whose they are; for others their own file does.
    """
    to_app = directive("include", Fixed(f"{folder}{app_file(name)}"))
    prefix = app.base_uri.rstrip("/")
    if root is None:
        own = [block("location", f"{prefix}/", body=[to_app])]
        return [block("location", "=", prefix, body=[to_app]), *own] if prefix else own
    named = f"@app_{name}"
    static = [*mark, *_static(app, root, named)]
    found = [block("location", named, body=[to_app])]
    if prefix:
        found.append(block("location", "=", prefix, body=[to_app]))
        return found + _below_base_uri(f"{prefix}/", root=root, static=static, to_app=to_app)
    return found + _at_the_root(root=root, static=static, named=named, to_app=to_app)


def _at_the_root(*, root: str, static: list[Directive], named: str, to_app: Directive) -> list[Directive]:
    common = [directive("root", root), *static]
    return [
        block("location", "=", "/", body=[*common, directive("try_files", "/index.html", named)]),
        block(
            "location",
            "/",
            body=[*common, directive("try_files", Expression("$uri"), named), _dotfiles(to_app)],
        ),
    ]


def _below_base_uri(uri: str, *, root: str, static: list[Directive], to_app: Directive) -> list[Directive]:
    common = [directive("alias", f"{root}/"), *static]
    not_a_file = block("if", Expression("(!-f"), Expression("$request_filename)"), body=[directive("return", "404")])
    return [
        block("location", "=", uri, body=[*common, directive("index", "index.html")]),
        block("location", uri, body=[*common, not_a_file, _dotfiles(to_app)]),
    ]


def _static(app: App, root: str, named: str) -> list[Directive]:
    age = app.nginx.static_max_age
    return [
        directive("client_max_body_size", str(app.nginx.client_max_body_size)),
        directive("disable_symlinks", "on", f"from={root}"),
        directive("log_not_found", "off"),
        directive("error_page", "403", "404", "405", "=", named),
        directive("recursive_error_pages", "on"),  # so that the application's own location has its error page, too
        *([directive("expires", seconds_text(age))] if age else []),
    ]


def _dotfiles(to_app: Directive) -> Directive:
    return block("location", "~", _DOTFILE, body=[to_app])
