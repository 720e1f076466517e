"""Secrets by file, in containers: `NAME_FILE=/run/secrets/x` means `NAME` with what is in the file.

Rules.
1. Only for files below /run/secrets, where engines and orchestrators mount them: `SSL_CERT_FILE` and its kind stay what
   they are.
2. One trailing line end is no part of the secret. `NAME` set as well is a mistake, not a question of who wins.
3. A message never holds a value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from passenger.errors import InvalidConfigurationError

FOLDER: Final = "/run/secrets/"
ENDING: Final = "_FILE"


def read_filed(environ: Mapping[str, str], *, read: Callable[[str], str]) -> dict[str, str]:
    """The environment with the secrets instead of the names of their files. Raises InvalidConfigurationError."""
    left = dict(environ)
    for variable, path in environ.items():
        name = variable.removesuffix(ENDING)
        if not name or name == variable or not path.startswith(FOLDER):
            continue
        if name in environ:
            raise InvalidConfigurationError(f"error: both {name} and {variable} are set", hint="leave one of them out")
        left[name] = _content(variable, path, read)
        del left[variable]
    return left


def _content(variable: str, path: str, read: Callable[[str], str]) -> str:
    try:
        text = read(path)
    except FileNotFoundError:
        problem, hint = "does not exist", "give the container that secret, or correct the variable"
    except (OSError, UnicodeDecodeError) as error:
        problem = f"cannot be read: {error.strerror if isinstance(error, OSError) else 'it is not UTF-8 text'}"
        hint = "it must be readable for the user that the container runs as"
    else:
        if "\0" not in text:
            return text.removesuffix("\n").removesuffix("\r")
        problem, hint = "holds a NUL byte", "an environment variable cannot carry it; let the application read the file"
    raise InvalidConfigurationError(f"error: {variable}: the secret {path} {problem}", hint=hint)
