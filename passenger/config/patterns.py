"""The forms that names and addresses must have, as regular expressions, each with its words for people."""

from __future__ import annotations

from typing import Final

from passenger.config.units import SIZE_PATTERN

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

_SIZE: Final = SIZE_PATTERN.removeprefix("^").removesuffix("$")
_PERCENT: Final = r"[0-9]{1,3}(\.[0-9]{1,3})?%"
SHARE_PATTERN: Final = r"^([0-9]{1,2}(\.[0-9]{1,3})?|100)%$"
SHARE_HELP: Final = "a share from `0%` to `100%`"
AMOUNT_PATTERN: Final = rf"^({_SIZE}|{_PERCENT})$"
AMOUNT_HELP: Final = "a size such as `512MiB`, or a share of the memory that the instance may use, such as `25%`"
ROOM_PATTERN: Final = rf"^({_SIZE}|unlimited)$"
ROOM_HELP: Final = "a size such as `64MiB`, or `unlimited`"
CPUS_PATTERN: Final = r"^[0-9]{1,5}(\.[0-9]{1,3})?%?$"
CPUS_HELP: Final = "a share of one CPU such as `50%` or `150%`, or a number of CPUs such as `1.5`"
UNLIMITED_PATTERN: Final = r"^unlimited$"
