"""highdicom's tables of the standard, read as far as they are asked.

What belongs to an object it looks up in 22 MB of JSON, 436 modules of which ours need some ten. To
parse them all takes longer than to make any of the results.
"""

import json
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from highdicom import _standard_utils

_BEGIN, _BETWEEN, _END = "{\n", "\n  ],\n", "\n  ]\n}"
"""Around the members of a table, each a name and a list, begun on a line of its own."""
_LONG = 2**20


class Table(Mapping[str, Any]):
    """A JSON object of such members, each parsed when it is looked up."""

    def __init__(self, text: str) -> None:
        parts = text.strip()[len(_BEGIN) : -len(_END)].split(_BETWEEN)
        self._texts = {part[part.index('"') + 1 : part.index('":')]: part for part in parts}
        self._parsed: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._parsed:
            self._parsed.update(json.loads(f"{{{self._texts[name]}]}}"))
        return self._parsed[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def spare_tables() -> None:
    """Lets highdicom parse what it asks for."""
    _standard_utils.json = SimpleNamespace(loads=_loaded)


def _loaded(text: str) -> Any:
    known = len(text) > _LONG and text.startswith(_BEGIN) and text.rstrip().endswith(_END)
    return Table(text) if known else json.loads(text)
