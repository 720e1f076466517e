"""The codes of what can go wrong while a configuration is read: files, TOML, merging, values from outside."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

READING_CODES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "E101": "a configuration file does not exist",
        "E102": "a configuration file or folder cannot be read",
        "E103": "a configuration file is a directory",
        "E104": "a configuration file is empty",
        "E105": "a configuration file starts with a byte order mark",
        "E106": "a configuration file is not UTF-8",
        "E107": "a line is not valid TOML",
        "E108": "a key or table stands twice in one file",
        "E109": "a configuration file is too large or too deeply nested",
        "E110": "a value is set in two files",
        "E111": "one file has a table where another has a value",
        "E120": "an environment variable is not set",
        "E121": "a secret file cannot be read",
        "E122": "a secret file is larger than 1 MiB",
        "E123": "a value from outside is not text",
        "E124": "an environment reference stands inside other text",
        "E125": "a reference to the environment, a file or a credential is malformed",
        "E126": "an env file cannot be used",
        "E127": "a line of an env file is not NAME=VALUE",
        "E128": "a credential of the service is not there",
        "E130": "a `--set` flag is malformed",
        "E131": "a PASSENGER__ variable is malformed",
        "E132": "a flag or variable goes through something that is not a table",
    }
)
"""Code -> one-line meaning."""
