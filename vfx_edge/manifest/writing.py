"""The text of a manifest, and whether a folder may become a model set."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vfx_edge.manifest.errors import SetNotWritten
from vfx_edge.manifest.files import MANIFEST, NAME
from vfx_edge.manifest.spec import SCHEMA


def manifest_text(head: Mapping[str, Any], networks: Sequence[Mapping[str, Any]]) -> str:
    """TOML of a manifest: `head` holds the keys before the first [[network]]. None is left out."""
    lines = [f"schema = {toml_value(SCHEMA)}", *_table(head, "")]
    for network in networks:
        lines += ["", "[[network]]", *_table(network, "network")]
    return "\n".join(lines) + "\n"


def _table(values: Mapping[str, Any], path: str) -> list[str]:
    """A table's plain values come first: what follows a table's name belongs to it."""
    plain = {k: v for k, v in values.items() if not isinstance(v, Mapping) and v is not None}
    lines = [f"{toml_key(k)} = {toml_value(v)}" for k, v in plain.items()]
    for key, value in values.items():
        if isinstance(value, Mapping):
            below = f"{path}.{key}".lstrip(".")
            lines += [f"[{below}]", *_table(value, below)]
    return lines


def toml_key(name: str) -> str:
    """Bare where TOML allows it: a network's classes may be called anything."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml_value(name)


def toml_value(value: Any) -> str:
    """One value as TOML. Strings, numbers, booleans and lists are written in TOML as in JSON."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{toml_key(k)} = {toml_value(v)}' for k, v in value.items())}}}"
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")


def check_target(
    folder: Path, *, overwrite: bool, if_there: str = "add --overwrite to replace it"
) -> None:
    """SetNotWritten when the folder can't become a model set; nothing is touched. overwrite: it may
    be one already. if_there: what to do where one is, and may not be replaced."""
    if not NAME.fullmatch(folder.resolve().name):
        why = "its name may only hold letters, digits, '.', '_' and '-'"
        raise SetNotWritten(folder, why, "choose another name with -o")
    if folder.is_symlink():
        raise SetNotWritten(folder, "it is a link", "name the folder itself with -o")
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        if not _is_set(folder):
            why = "something that is no model set lies there"
            raise SetNotWritten(folder, why, "choose another folder with -o")
        if not overwrite:
            raise SetNotWritten(folder, "a model set lies there already", if_there)


def _is_set(folder: Path) -> bool:
    """Whether it holds a manifest of ours, valid or not: others call files so, too."""
    try:
        return SCHEMA.rpartition("/")[0].encode() in (folder / MANIFEST).read_bytes()
    except OSError:
        return False
