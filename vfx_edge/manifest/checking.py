"""Values against types, with a sentence that names the table, the key and what would be right."""

import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from vfx_edge.manifest.calibration import LINE
from vfx_edge.manifest.errors import ManifestInvalid

T = TypeVar("T")
_PATTERNS = {
    r"\S": "a text that is not empty",
    LINE: "one line of text, of at most 200 characters",
    r"^\d{4}-\d{2}-\d{2}$": "a date such as 2026-01-31",
    "^[0-9a-fA-F]{64}$": "64 hexadecimal digits",
    "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$": "at most 64 letters, digits, '.', '_' or '-'",
}
_PLAIN = {"NoneType": "nothing", "BoolType": "true or false"}
_FIELD = re.compile(r"Object (missing required|contains unknown) field `(\w+)`")


def checked(values: Any, kind: type[T], path: Path, where: str = "") -> T:
    """`values` of a manifest, or of its table `where`, as the type; ManifestInvalid."""
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        what, _, at = str(error).partition(" - at `$")
        raise invalid(path, *_sentence(what, at, values, kind, where)) from None


def invalid(path: Path, what: str, where: str = "") -> ManifestInvalid:
    """The error about something in the table `where`."""
    return ManifestInvalid(path, f"in {where}, {what}" if where else what)


def _sentence(what: str, at: str, value: Any, kind: type, where: str) -> tuple[str, str]:
    """(what is wrong, in which table). at: msgspec's path, such as `.input.hu_clip[0]`."""
    from msgspec import inspect  # here, because it is needed for what goes wrong only

    info: Any = inspect.type_info(kind)
    key = ""
    for name in re.findall(r"\.(\w+)", at):
        info = next(f.type for f in _table(info).fields if f.encode_name == name)
        key, value = name, value[name]
        if _table(info) is not None and isinstance(value, dict):
            where = f"{where} [{name}]".strip()
    if (table := _table(info)) is None or not isinstance(value, dict):
        return f"'{key}' is {_shown(value)} and must be {described(info)}", where
    if found := _FIELD.match(what):
        known = ", ".join(sorted(field.encode_name for field in table.fields))
        how = "missing" if "missing" in found[1] else f"unknown (known: {known})"
        what = f"'{found[2]}' is {how}"
    return what, where


def _table(info: Any) -> Any:
    """The type of a table, also of an optional one; None for all else."""
    kinds = getattr(info, "types", (info,))
    return next((kind for kind in kinds if isinstance(kind, msgspec.inspect.StructType)), None)


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode() if not isinstance(value, float) else f"{value:g}"
    return text if len(text) <= 60 else f"{text[:59]}…"


def described(info: Any) -> str:
    """What a value of a type, as `msgspec.inspect` has it, has to be."""
    match type(info).__name__:
        case "Metadata":
            return described(info.type)
        case "UnionType":
            words = (described(one) for one in info.types)
            return ", or ".join(one for one in words if one != "nothing")
        case "LiteralType":
            return f"one of {', '.join(map(str, info.values))}"
        case "EnumType":
            first, second, *_, last = info.cls
            return f"one of {first}, {second}, … {last}"
        case "TupleType":
            return f"a list of {len(info.item_types)}, each {described(info.item_types[0])}"
        case "VarTupleType":
            least = info.min_length or 0
            count = least if info.max_length else ("any length", "one or more")[least]
            return f"a list of {count}, each {described(info.item_type)}"
        case "IntType":
            return f"a whole number from {info.ge} to {info.le}"
        case "FloatType":
            return f"a number from {info.ge:g} to {info.le:g}"
        case "StrType":
            return _PATTERNS.get(info.pattern, "a text")
        case "DictType":
            return f"a table, each entry {described(info.value_type)}"
    return _PLAIN.get(type(info).__name__, "a table")
