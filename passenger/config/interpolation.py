"""Values from the environment and from secret files: whole strings only, after parsing, never as text.

Rules.
1. `"${env:NAME}"`, `{ env = "NAME", default = "..." }`, `{ file = "..." }` and `{ credential = "..." }` stand where the
   model wants a string.
2. What comes in is data: it is not parsed, expanded or looked at again.
3. `$${env:` means the text `${env:`. A reference inside other text is an error, not a substitution.
4. A secret file gives its text without one trailing line end; it is text of at most 1 MiB.
5. A table is a reference only by its place: `[apps.blog.env]` may well have a variable called `file`.
6. A credential is a file that the service manager put into $CREDENTIALS_DIRECTORY (`LoadCredential=`); where a path is
   wanted, such as that of a TLS key, it gives the path.
"""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Final, NoReturn

from passenger.config.diagnostics import Diagnostic, Path, Span
from passenger.config.files import read_at_most
from passenger.config.places import Place, document_places
from passenger.lazy_dataclass import dataclass

SECRET_SIZE_MAX: Final = 1024 * 1024

_WHOLE: Final = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
_LOOKS_LIKE: Final = "${env:"
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ENV_KEYS: Final = frozenset({"env", "default"})
_FILE_KEYS: Final = frozenset({"file"})
_CREDENTIAL_KEYS: Final = frozenset({"credential"})
_CREDENTIAL_NAME: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,255}")
_CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"
_FORMS: Final = {
    "file": 'write { file = "..." }',
    "credential": 'write { credential = "..." }',
}


@dataclass(frozen=True, slots=True)
class Interpolations:
    """What was put in: by path, the variable or file it came from."""

    details: Mapping[Path, str] = field(default_factory=dict)
    secrets: frozenset[Path] = frozenset()
    unresolved: frozenset[Path] = frozenset()


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What the interpolation needs to know of a path: the place for a caret, what to call it, where files start."""

    span: Callable[[Path], Span | None]
    folder: Callable[[Path], str]


def interpolate(
    data: dict[str, Any], *, whereabouts: Whereabouts, environ: Mapping[str, str], read_secrets: bool
) -> tuple[Interpolations, list[Diagnostic]]:
    """Follow every reference in `data`, in place. What could not be followed becomes "" and is `unresolved`."""
    walk = _Walk(whereabouts, environ, read_secrets)
    walk.table(data, document_places(), ())
    notes = Interpolations(walk.details, frozenset(walk.secrets), frozenset(walk.unresolved))
    return notes, walk.problems


class _RefusedError(Exception):
    """A reference that cannot be followed, as (code, message, label, help)."""

    def __init__(self, code: str, message: str, label: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.label = label
        self.hint = hint


class _Walk:
    """One pass over the data beside what the model expects."""

    def __init__(self, whereabouts: Whereabouts, environ: Mapping[str, str], read_secrets: bool) -> None:  # noqa: FBT001 - private
        self.details: dict[Path, str] = {}
        self.secrets: set[Path] = set()
        self.unresolved: set[Path] = set()
        self.problems: list[Diagnostic] = []
        self._whereabouts = whereabouts
        self._environ = environ
        self._read_secrets = read_secrets

    def table(self, table: dict[str, Any], place: Place, path: Path) -> None:
        for name, value in table.items():
            below = place.below(name)
            if below is not None and isinstance(value, (str, dict, list)):
                table[name] = self._value(value, below, (*path, name))

    def _value(self, value: Any, place: Place, path: Path) -> Any:
        if isinstance(value, str):
            return self._text(value, place, path) if _LOOKS_LIKE in value else value
        if isinstance(value, list):
            if place.each is not None:
                value[:] = [self._value(item, place.each, (*path, number)) for number, item in enumerate(value)]
            return value
        if not isinstance(value, dict):
            return value
        may_refer = place.kind not in {"names", "table"} or place.is_text_or_table
        if may_refer and _is_reference(value):
            return self._follow(value, place, path)
        self.table(value, place, path)
        return value

    def _text(self, value: str, place: Place, path: Path) -> Any:
        if value.count(_LOOKS_LIKE) == value.count("$" + _LOOKS_LIKE):
            return value.replace("$" + _LOOKS_LIKE, _LOOKS_LIKE)
        if whole := _WHOLE.fullmatch(value):
            return self._follow({"env": whole[1]}, place, path)
        return self._guarded(path, _reject_partial)

    def _follow(self, reference: dict[str, Any], place: Place, path: Path) -> Any:
        return self._guarded(path, lambda: self._fetch(reference, place, path))

    def _guarded(self, path: Path, fetch: Callable[[], Any]) -> Any:
        try:
            return fetch()
        except _RefusedError as refused:
            self.unresolved.add(path)
            self.problems.append(
                Diagnostic(
                    code=refused.code,
                    message=refused.message,
                    span=self._whereabouts.span(path),
                    path=path,
                    label=refused.label,
                    help=refused.hint,
                )
            )
            return ""

    def _fetch(self, reference: dict[str, Any], place: Place, path: Path) -> str:
        if not place.takes_text:
            shown = ".".join(str(step) for step in path)
            hint = f"write the value itself, or override it from outside: --set {shown}=VALUE"
            raise _RefusedError("E125", "only strings can come from the environment or a file", "not a string", hint)
        _check_form(reference)
        if "credential" in reference:
            return self._credential(reference["credential"], place, path)
        if "file" in reference:
            self.details[path] = f"file {reference['file']}"
            self.secrets.add(path)
            return self._secret(reference["file"], path) if self._read_secrets else ""
        name = reference["env"]
        self.details[path] = f"environment variable {name}"
        found = self._environ.get(name, reference.get("default"))
        if found is None:
            hint = f'set it, or give a default: {{ env = "{name}", default = "..." }}'
            raise _RefusedError("E120", f"the environment variable `{name}` is not set", "not set", hint)
        return _checked_text(str(found), f"the environment variable `{name}`")

    def _credential(self, name: str, place: Place, path: Path) -> str:
        self.details[path] = f"credential {name}"
        folder = self._environ.get(_CREDENTIALS, "")
        needed = f"the unit needs `LoadCredential={name}:/path/of/the/file` (`systemctl edit passenger`)"
        if self._read_secrets and not folder:
            hint = f"{needed}; to check the rest from a shell, use `validate --no-environment`"
            message = f"the credential `{name}` cannot be had: this process was given none (${_CREDENTIALS} is not set)"
            raise _RefusedError("E128", message, "not given", hint)
        file = pathlib.Path(folder or "/run/credentials", name)
        if self._read_secrets and _is_absent(file):
            raise _RefusedError("E128", f"the service was not given the credential `{name}`", "not given", needed)
        if place.is_path:
            return str(file)
        self.secrets.add(path)
        return self._text_of(file, f"credential `{name}`") if self._read_secrets else ""

    def _secret(self, name: str, path: Path) -> str:
        return self._text_of(pathlib.Path(self._whereabouts.folder(path), name), f"file `{name}`")

    def _text_of(self, file: pathlib.Path, what: str) -> str:
        try:
            content = read_at_most(file, SECRET_SIZE_MAX + 1)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            hint = f"user id {os.geteuid()} must be able to read {file}"
            raise _RefusedError("E121", f"the {what} cannot be read: {reason}", reason, hint) from error
        except ValueError as error:
            raise _RefusedError("E121", f"the {what!r} has no file name", "no file name") from error
        if len(content) > SECRET_SIZE_MAX:
            raise _RefusedError("E122", f"the {what} is larger than 1 MiB", "too large for a secret")
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _RefusedError("E123", f"the {what} is not UTF-8 text", "not text") from error
        return _checked_text(text.removesuffix("\n").removesuffix("\r"), f"the {what}")


def _is_absent(file: pathlib.Path) -> bool:
    """One that we may not look at is there: whoever opens it says so."""
    try:
        file.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _is_reference(table: dict[str, Any]) -> bool:
    keys = table.keys()
    return keys in (_FILE_KEYS, _CREDENTIAL_KEYS) or ("env" in keys and keys <= _ENV_KEYS)


def _check_form(reference: dict[str, Any]) -> None:
    for name, value in reference.items():
        if not isinstance(value, str):
            message = f"`{name}` of a reference is a string"
            hint = _FORMS.get(name, 'write { env = "NAME", default = "..." }')
            raise _RefusedError("E125", message, "malformed reference", hint)
    if "env" in reference and not _ENV_NAME.fullmatch(reference["env"]):
        message = f"`{reference['env']}` is no name of an environment variable"
        hint = "letters, digits and `_`, not starting with a digit"
        raise _RefusedError("E125", message, "malformed reference", hint)
    if not _CREDENTIAL_NAME.fullmatch(reference.get("credential", "x")):
        message = f"`{reference['credential']}` is no name of a credential"
        raise _RefusedError(
            "E125", message, "malformed reference", "letters, digits, `.`, `_` and `-`, without a slash"
        )
    if not reference.get("file", "file"):
        raise _RefusedError("E125", "`file` of a reference names no file", "malformed reference")


def _checked_text(text: str, source: str) -> str:
    if "\0" in text:
        raise _RefusedError("E123", f"{source} holds a NUL character", "not text")
    return text


def _reject_partial() -> NoReturn:
    hint = 'only a whole string is a reference, "${env:NAME}": put the complete value into the variable; '
    hint += "for this very text, write $${env: with two dollar signs"
    raise _RefusedError("E124", "a reference to the environment stands inside other text", "not replaced", hint)
