"""The forms that names and addresses must have, as regular expressions, each with its words for people."""

from __future__ import annotations

from typing import Final

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"
NAME_HELP: Final = "letters, digits, `_`, `.` and `-`, at most 63, starting with a letter or digit"
ENV_NAME_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"
ENV_NAME_HELP: Final = "letters, digits and `_`, not starting with a digit"
ADDRESS_PATTERN: Final = r"^(\*|[0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$"
