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
        self._text, self._parsed = text, dict[str, Any]()
        self._places = dict(_places(text))

    def __getitem__(self, name: str) -> Any:
        if name not in self._parsed:
            self._parsed[name] = json.loads(self._text[self._places[name]] + "]")
        return self._parsed[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _places(text: str) -> Iterator[tuple[str, slice]]:
    """Each member's name, and where its list stands less the last bracket."""
    at, end = len(_BEGIN), text.rindex(_END)
    while at < end:
        stop = text.find(_BETWEEN, at)
        stop = end if stop < 0 else stop
        name, colon = text.index('"', at) + 1, text.index('": ', at)
        yield text[name:colon], slice(colon + len('": '), stop)
        at = stop + len(_BETWEEN)


def spare_tables() -> None:
    """Lets highdicom parse what it asks for."""
    _standard_utils.json = SimpleNamespace(loads=_loaded)


def _loaded(text: str) -> Any:
    known = len(text) > _LONG and text.startswith(_BEGIN) and text.rstrip().endswith(_END)
    return Table(text) if known else json.loads(text)
