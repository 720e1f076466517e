"""`dataclass` as the standard library has it, but the methods of a class are written when one of them is first called.

Writing them is a quarter to a third of what loading our programs costs, and a start needs few of them.

Rules.
1. To type checkers it is `dataclasses.dataclass`, and it behaves as that does; what nobody here needs (`order`,
   `InitVar`, `unsafe_hash`, `match_args=False`) it does not take.
2. The standard library finds the fields and writes all methods but `__init__`. Nothing private of it is used.
3. A method that a class has written itself is left alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # noqa: PLC0414 - said to be for others
else:

    def dataclass(
        cls: type | None = None,
        /,
        *,
        init: bool = True,
        repr: bool = True,  # noqa: A002 - its name there
        eq: bool = True,
        frozen: bool = False,
        slots: bool = False,
        kw_only: bool = False,
    ) -> Any:
        """For a class without or with parameters."""

        def decorate(cls: type) -> type:
            cls.__doc__ = cls.__doc__ or cls.__name__  # else it would be made of the signature, with `inspect`
            made = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots, kw_only=kw_only)(cls)
            wanted = {"__init__": init, "__repr__": repr, "__eq__": eq, "__hash__": eq and frozen}
            _write_later(made, [name for name in wanted if wanted[name]], frozen=frozen, slots=slots)
            return made

        return decorate if cls is None else decorate(cls)


POST: Final = "__post_init__"
_MADE: Final = object()
"""Stands for a default that is made for each instance."""


def _write_later(cls: type, names: Sequence[str], *, frozen: bool, slots: bool) -> None:
    own = dict(cls.__dict__)
    methods = {name: _written_later(cls, name, frozen=frozen) for name in names if own.get(name) is None}
    if frozen:
        methods |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
    if frozen and slots:
        methods |= {"__getstate__": _state, "__setstate__": _restore}
    for name, method in methods.items():
        setattr(cls, name, method)
    if "__eq__" in names and not frozen and "__hash__" not in own:
        type.__setattr__(cls, "__hash__", None)  # as Python itself has it for a class with `__eq__` alone


def _written_later(cls: type, name: str, *, frozen: bool) -> Callable[..., Any]:
    def first(self: object, *arguments: Any, **named: Any) -> Any:
        method = _init(cls, frozen=frozen) if name == "__init__" else _written(cls, name)
        setattr(cls, name, method)
        return method(self, *arguments, **named)

    first.__name__, first.__qualname__ = name, f"{cls.__qualname__}.{name}"
    return first


def _init(cls: type, *, frozen: bool) -> Any:
    """`__init__`, with the parameters in the order of the fields, those by name only at the end."""
    known: dict[str, Any] = {"_set": object.__setattr__, "_made": _MADE}
    by_place: list[str] = []
    by_name: list[str] = []
    body: list[str] = []
    for one in dataclasses.fields(cls):
        name, value = one.name, one.name
        parameter = name
        if one.default is not dataclasses.MISSING:
            known[f"_d_{name}"] = one.default
            parameter = f"{name}=_d_{name}"
            value = name if one.init else f"_d_{name}"
        elif one.default_factory is not dataclasses.MISSING:
            known[f"_f_{name}"] = one.default_factory
            parameter = f"{name}=_made"
            value = f"_f_{name}() if {name} is _made else {name}" if one.init else f"_f_{name}()"
        elif not one.init:
            continue
        if one.init:
            (by_name if one.kw_only else by_place).append(parameter)
        body.append(f"_set(self, {name!r}, {value})" if frozen else f"self.{name} = {value}")
    if hasattr(cls, POST):
        body.append(f"self.{POST}()")
    parameters = ", ".join(["self", *by_place, *(["*", *by_name] if by_name else [])])
    exec(f"def __init__({parameters}):\n " + "\n ".join(body or ["pass"]), known)  # noqa: S102 - names of fields only
    method = known["__init__"]
    method.__qualname__ = f"{cls.__qualname__}.__init__"
    return method


def _written(cls: type, name: str) -> Any:
    """The method of a class that has the same fields."""
    fields = [
        (one.name, one.type, dataclasses.field(hash=one.hash, compare=one.compare, repr=one.repr, kw_only=True))
        for one in dataclasses.fields(cls)
    ]
    same = dataclasses.make_dataclass(
        cls.__name__,
        fields,
        namespace={"__doc__": cls.__name__},
        init=False,
        repr=name == "__repr__",
        eq=name != "__repr__",
        frozen=name == "__hash__",
    )
    return getattr(same, name)


def _refuse_to_set(_self: object, name: str, _value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, one.name) for one in dataclasses.fields(self)]


def _restore(self: Any, state: list[Any]) -> None:
    for one, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, one.name, value)
