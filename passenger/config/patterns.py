"""The forms that names and addresses must have, as regular expressions, each with its words for people."""

from __future__ import annotations

from typing import Final

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"
NAME_HELP: Final = "letters, digits, `_`, `.` and `-`, at most 63, starting with a letter or digit"
ENV_NAME_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"
ENV_NAME_HELP: Final = "letters, digits and `_`, not starting with a digit"
ENV_GLOB_PATTERN: Final = r"^[A-Za-z0-9_*?]+$"
ADDRESS_PATTERN: Final = r"^(\*|[0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$"

_HOST_PART: Final = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
HOST_PATTERN: Final = rf"^(?=.{{1,253}}$)(\*\.)?{_HOST_PART}(\.{_HOST_PART})*$"
"""The lengths are those of the DNS; nginx's table of names is sized for them."""
_URI_PART: Final = r"\.*[A-Za-z0-9_~-][A-Za-z0-9_.~-]*"
BASE_URI_PATTERN: Final = rf"^/({_URI_PART}(/{_URI_PART})*)?$"
"""No part of dots alone: clients and nginx resolve `.` and `..`, so that nothing would ever arrive there."""
