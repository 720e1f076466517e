"""Random TOML documents that use the whole syntax: every kind of key, string, table and array, comments, both line ends.

A document is made in two steps: a random value tree, then a random way to write each part of it.
"""

from __future__ import annotations

import random
from datetime import UTC, date, time
from typing import Any, Final, Literal

from hypothesis import strategies as st

_SURROGATES: Final[tuple[Literal["Cs"]]] = ("Cs",)
_SCALARS = st.one_of(
    st.booleans(),
    st.dates(),
    st.times(),
    st.datetimes(timezones=st.sampled_from([None, UTC])),
    st.integers(min_value=-(2**63), max_value=2**63 - 1),
    st.floats(allow_nan=False, width=32),
    st.text(st.characters(exclude_categories=_SURROGATES), max_size=12),
    st.sampled_from(
        ["a#b", "[x]", "", "é", "日本語", "\t", 'say "hi"', "it's", "C:\\path", "a = 1", "}{", "x\ny\n", "'''"]
    ),
)
_KEYS = st.one_of(
    st.sampled_from(
        ["apps", "blog", "a", "b-c", "d_e", "1", "3.1", "a.b", "", "ö", "with space", "#", "[t]", '"', "\\", "="]
    ),
    st.text(st.characters(exclude_categories=_SURROGATES), max_size=4),
)


def _tables(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(_KEYS, values, max_size=4)


_VALUES = st.recursive(
    _SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), _tables(inner), st.lists(_tables(inner), max_size=3))
)


@st.composite
def toml_documents(draw: st.DrawFn) -> str:
    """The text of a valid TOML document."""
    tree = draw(_tables(_VALUES))
    writer = _Writer(draw(st.randoms(use_true_random=False)))
    writer.table(tree, ())
    return draw(st.sampled_from(["\n", "\r\n"])).join(writer.lines)


class _Writer:
    """Writes a tree, choosing among the ways that TOML offers."""

    def __init__(self, chance: random.Random) -> None:
        self.lines: list[str] = []
        self._chance = chance

    def table(self, table: dict[str, Any], path: tuple[str, ...]) -> None:
        """The body of a table: first what stands in it, then the tables that get a header of their own."""
        headed: list[tuple[str, Any]] = []
        for name, value in table.items():
            self._filler()
            own_header = 0.5 if _is_table(value) else 0.6 if _is_array_of_tables(value) else 0
            if self._chance.random() < own_header:
                headed.append((name, value))
            else:
                self._pair((name,), value)
        for name, value in headed:
            if isinstance(value, list):
                for element in value:
                    self._headed("[[", element, (*path, name), "]]")
            else:
                self._headed("[", value, (*path, name), "]")

    def _headed(self, opening: str, table: dict[str, Any], path: tuple[str, ...], closing: str) -> None:
        self._filler()
        only_headers = bool(table) and opening == "[" and all(_is_table(value) and value for value in table.values())
        if only_headers and self._chance.random() < 0.5:
            for name, value in table.items():
                self._headed("[", value, (*path, name), "]")
            return
        self.lines.append(f"{self._indent()}{opening}{self._dotted(path)}{closing}{self._comment()}")
        self.table(table, path)

    def _pair(self, path: tuple[str, ...], value: Any) -> None:
        if _is_table(value) and value and self._chance.random() < 0.5:
            for name, inner in value.items():
                self._pair((*path, name), inner)
            return
        self.lines += f"{self._indent()}{self._dotted(path)}{self._space()}={self._space()}{self._value(value)}{self._comment()}".split(
            "\n"
        )

    def _value(self, value: Any, *, one_line: bool = False) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, int):
            return self._chance.choice([str(value), f"{value:_}", hex(value) if value >= 0 else str(value)])
        if isinstance(value, float):
            return repr(value)
        if isinstance(value, (date, time)):
            return value.isoformat()
        if isinstance(value, str):
            return self._string(value, one_line=one_line)
        if isinstance(value, list):
            return self._array(value, one_line=one_line)
        return self._inline(value)

    def _array(self, items: list[Any], *, one_line: bool) -> str:
        breaks = ["", " "] if one_line else ["", " ", "\n", "\n\t", " # ] in a comment\n", "\n# , \n"]
        parts = [
            f"{self._chance.choice(breaks)}{self._value(item, one_line=one_line)}{self._chance.choice(breaks)}"
            for item in items
        ]
        end = self._chance.choice(["", ","]) if items else ""
        return f"[{','.join(parts)}{end}{self._chance.choice(breaks)}]"

    def _inline(self, table: dict[str, Any]) -> str:
        pairs: list[str] = []
        for name, value in table.items():
            path: tuple[str, ...] = (name,)
            inner = value
            while _is_table(inner) and len(inner) == 1 and self._chance.random() < 0.5:
                ((step, inner),) = inner.items()
                path = (*path, step)
            pairs.append(
                f"{self._space()}{self._dotted(path)}{self._space()}={self._space()}{self._value(inner, one_line=True)}"
            )
        return f"{{{','.join(pairs)}{self._space()}}}"

    def _string(self, text: str, *, one_line: bool) -> str:
        forms = [_basic(text)]
        if all(char.isprintable() for char in text) and "'" not in text:
            forms.append(f"'{text}'")
        if not one_line and all(char.isprintable() or char in "\n\t" for char in text):
            escaped = text.replace("\\", "\\\\").replace('"', '\\"')
            forms.append(f'"""\n{escaped}"""')
            forms.append(f'"""\\\n   {escaped}"""' if text[:1].strip() else f'"""\n{escaped}"""')
            if "'''" not in text and not text.endswith("'"):
                forms.append(f"'''\n{text}'''")
        return self._chance.choice(forms)

    def _dotted(self, path: tuple[str, ...]) -> str:
        return self._chance.choice([".", " . ", ". "]).join(self._key(name) for name in path)

    def _key(self, name: str) -> str:
        forms = [_basic(name)]
        if name and all(char.isascii() and (char.isalnum() or char in "-_") for char in name):
            forms += [name, name]
        if "'" not in name and all(char.isprintable() for char in name):
            forms.append(f"'{name}'")
        return self._chance.choice(forms)

    def _space(self) -> str:
        return self._chance.choice(["", " ", "\t", "  "])

    def _indent(self) -> str:
        return self._chance.choice(["", "", "  ", "\t"])

    def _comment(self) -> str:
        return self._chance.choice(["", "", " # é [x] = 1", "\t#"])

    def _filler(self) -> None:
        self.lines += self._chance.choice([[], [], [""], ["# a = 1"], ["", "   # [t]"]])


def _basic(text: str) -> str:
    named = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return (
        '"' + "".join(named.get(char) or (char if char.isprintable() else f"\\U{ord(char):08X}") for char in text) + '"'
    )


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _is_array_of_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)
