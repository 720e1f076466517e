"""A text of the configuration that may be a secret, such as a value of an application's environment."""

from __future__ import annotations

from dataclasses import field

from passenger.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class EnvValue:
    """A value of an application's environment; a secret one is never shown."""

    value: str
    secret: bool = False
    origin: str = field(default="", compare=False)
    """FILE:LINE of the env file that sets it; "" when the configuration itself does."""

    def __repr__(self) -> str:
        return "EnvValue(<secret>)" if self.secret else f"EnvValue({self.value!r})"
