"""`python -m export.contracts`: what each role demands of a network, into docs/export.md."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import inspect

from vfx_edge.files import write_text
from vfx_edge.manifest.checking import described
from vfx_edge.manifest.roles import PARAMETERS, JointParameters, RoleParameters

PAGE = Path(__file__).parents[1] / "docs" / "export.md"
HEAD = """\
| role | channels | answers | classes it must have | parameter | has to be | default | means |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""
_BETWEEN = re.compile(r"(?<=<!-- contracts -->\n).*?(?=<!-- end -->)", re.DOTALL)


def table() -> str:
    """Markdown: a row for each role's classes and for each of its parameters."""
    kinds: list[tuple[str, type[RoleParameters]]] = [
        *PARAMETERS.items(),
        ("labeller and segmenter in one", JointParameters),
    ]
    return HEAD + "".join(row for role, kind in kinds for row in _rows(role, kind))


def replaced(page: str) -> str:
    """The page with the table between its marks made anew."""
    return _BETWEEN.sub(lambda _: table(), page)


def _rows(role: str, kind: type[RoleParameters]) -> Iterator[str]:
    info: Any = inspect.type_info(kind)
    answers = "each voxel" if kind.voxelwise else "once"
    channels = "features" if kind.of_a_row else kind.channels
    first = f"**{role}** | {channels} | {answers} | {classes_of(kind)}"
    for field in info.fields or (None,):
        cells = _cells(field) if field is not None else "| | |"
        yield f"| {first} | {cells} |\n"
        first = "| | |"


def classes_of(kind: type[RoleParameters]) -> str:
    """The classes that a role demands, in words."""
    level = ("a level, such as `L1`",) if kind.a_level else ()
    may = ", no other" if kind.closed else ""
    if kind.optional:
        may = f"; may have {_quoted(kind.optional)}{may}"
    return ", ".join((*map(_code, kind.classes), *level)) + may


def _cells(field: Any) -> str:
    default = "required" if field.required else _code(_value(field.default))
    meaning = field.type.extra_json_schema["description"]
    return f"{_code(field.encode_name)} | {described(field.type)} | {default} | {meaning}"


def _value(value: Any) -> str:
    return "none" if value in ("", ()) else str(value)


def _quoted(names: tuple[str, ...]) -> str:
    return ", ".join(map(_code, names))


def _code(name: str) -> str:
    return f"`{name}`"


if __name__ == "__main__":
    write_text(PAGE, replaced(PAGE.read_text(encoding="utf-8")))
