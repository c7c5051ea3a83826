"""The model set that a training is written into, beside what another one put there."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from export import manifests
from vfx_edge.manifest import load_model_set
from vfx_edge.manifest.errors import SetNotWritten
from vfx_edge.manifest.files import MANIFEST
from vfx_edge.manifest.spec import FILES
from vfx_edge.manifest.writing import check_target

TAUGHT = ("classifier", "detector", "tabular", "fusion")
"""Roles that recipes for a department's labels fill."""
HEAD = {
    "base": "default",
    "intended_use": "research",
    "licence": "not stated: the department's own",
    "training_data": "CT labelled by a department; card.md has counts and split",
    "summary": "Trained by `python -m models.recipes` on a department's labelled CT.",
}


def check(folder: Path, role: str, overwrite: bool) -> None:
    """SetNotWritten where the folder can't hold the set, or has a network of this role already and
    may not be written over."""
    check_target(folder, overwrite=True)
    if role in _networks(folder) and not overwrite:
        why = f"it has a {role} already"
        do = (
            "choose another with -o, or add --overwrite, with which more --minutes go on from there"
        )
        raise SetNotWritten(folder, why, do)


def add(
    folder: Path,
    role: str,
    network: manifests.NewNetwork,
    section: str,
    base: str | None = None,
) -> None:
    """Write the network, with those of other roles that are there, and its part of the card. base:
    of a new set; one that is there keeps its own."""
    others = {name: old for name, old in _networks(folder).items() if name != role}
    parts = {**_sections(folder), role: section}
    head = {"version": str(_version(folder) + 1), **HEAD}
    head["base"] = _base(folder) or base or HEAD["base"]
    manifests.write_set(
        folder, head, [*others.values(), network], _card(folder, parts), overwrite=True
    )


def _networks(folder: Path) -> dict[str, manifests.NewNetwork]:
    """Role -> network of the set's own that lie in the folder."""
    if not (folder / MANIFEST).is_file():
        return {}
    load_model_set(folder)  # refuses one that is broken
    tables = tomllib.loads((folder / MANIFEST).read_text(encoding="utf-8")).get("network", [])
    return {table["roles"][0]: _as_new(folder, table) for table in tables}


def _as_new(folder: Path, table: Mapping[str, Any]) -> manifests.NewNetwork:
    named = {*FILES, *(key.replace("file", "sha256") for key in FILES)}
    rest = {key: value for key, value in table.items() if key not in named}
    files = {key: (folder / table[key]).read_bytes() for key in FILES if key in table}
    forms = files["file"], files.get("file_fp16"), files.get("file_int8")
    return manifests.NewNetwork(Path(table["file"]).stem, rest, *forms)


def _version(folder: Path) -> int:
    if not (folder / MANIFEST).is_file():
        return 0
    version = load_model_set(folder).version
    return int(version) if version.isdigit() else 1


def _base(folder: Path) -> str | None:
    return load_model_set(folder).base if (folder / MANIFEST).is_file() else None


def _sections(folder: Path) -> dict[str, str]:
    """Role -> its part of the card that lies there."""
    path = folder / "card.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    found = re.findall(r"(?s)<!-- (\w+):begin -->\n(.*?)\n<!-- \1:end -->", text)
    return {role: section for role, section in found if role in TAUGHT}


def _card(folder: Path, sections: Mapping[str, str]) -> str:
    name = folder.resolve().name
    parts = [f"<!-- {role}:begin -->\n{text}\n<!-- {role}:end -->" for role, text in
             sorted(sections.items())]  # fmt: skip
    return "\n\n".join([f"# Model card: the set `{name}`\n{_INTRODUCTION}", *parts]) + "\n"


_INTRODUCTION = """Trained on CT that a department labelled, by
`python -m models.recipes classifier`. Every network that is not named here is that of the set
`default`, whose card and limits hold as well. **For research**: nobody has cleared it for use on
patients. Temperature and thresholds for a wanted sensitivity are chosen by `vfx-edge calibrate`, on
patients that were not trained on."""
