"""The scorecard's parts, kept one file each so that one can be scored again alone."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.recipes.scorecard.about import hashes
from models.recipes.scorecard.chain import SPINE_ROLES, Fold

ROOT = Path(__file__).parents[3]
PARTS = ("real", "names", "masks", "phantoms", "classifier")
DIGITS = 4


def fingerprint(part: str, model: Path, folds: tuple[Fold, ...]) -> dict[str, Any]:
    """The weights that a part's figures belong to: of those networks that take part in it."""
    roles = ("classifier",) if part == "classifier" else SPINE_ROLES
    with_folds = folds if part in ("real", "names", "masks") else ()
    sets = {"model": model, **{fold.name: fold.folder for fold in with_folds}}
    known = {name: hashes(folder) for name, folder in sets.items()}
    return {name: {r: h for r, h in of.items() if r in roles} for name, of in known.items()}


def code() -> str:
    """A digest of the program's own text: figures may change with it."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "vfx_edge").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def keep(part: str, data: Any, weights: Mapping[str, Any], out: Path) -> None:
    """`out`/<part>.json."""
    stored = {"weights": weights, "code": code(), "data": rounded(data)}
    (out / f"{part}.json").write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


def kept(part: str, weights: Mapping[str, Any], out: Path) -> tuple[Any | None, str]:
    """The part's figures and a warning; None where there are none for these weights."""
    path = out / f"{part}.json"
    if not path.exists():
        return None, f"{part}: not scored yet"
    stored = json.loads(path.read_text(encoding="utf-8"))
    if stored["weights"] != weights:
        return None, f"{part}: the stored figures belong to other weights or folds: left out"
    changed = stored["code"] != code()
    return stored["data"], f"{part}: the program has changed since" if changed else ""


def rounded(value: Any, digits: int = DIGITS) -> Any:
    """Floats to so many digits, more would be noise; None where there is no number."""
    if isinstance(value, float):
        return round(value, digits) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: rounded(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item, digits) for item in value]
    return value
