"""Codes of what a configuration and the place where it is to run do not agree about."""

from __future__ import annotations

from typing import Final

TARGET_CODES: Final = {
    "E501": "a manifest cannot be read",
    "E502": "a manifest does not say which of its parts is meant",
    "E503": "a value of a manifest is not understood",
    "E510": "an application has its own user where users cannot be switched",
    "E511": "a port below 1024 where it cannot be bound",
    "E512": "a listener on loopback that is asked from outside",
    "E513": "a manifest sends somebody to a port on which nothing listens",
    "E517": "a file or folder would lie on a read-only file system",
    "E519": "the command of a manifest goes into the background",
    "E520": "cgroups of applications where none can be made",
    "W514": "less time to stop than stopping may take",
    "W515": "the memory limits of applications allow more than the whole may use",
    "W516": "a manifest without a limit of memory",
    "W518": "a log file in a container",
}
