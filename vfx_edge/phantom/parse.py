"""Command-line spellings of levels, fractures and lesions."""

from __future__ import annotations

import re
from typing import cast

from vfx_edge.phantom.spec import (
    FractureKind,
    FractureSpec,
    LesionKind,
    LesionSpec,
    Side,
    SignKind,
    SignSpec,
    check_level,
)

_FLAGS = {
    "cortex": "destroys_cortex",
    "pedicle": "destroys_pedicle",
    "mass": "soft_tissue_mass",
    "convex": "convex_posterior_border",
}


def parse_level(text: str) -> str:
    """``"t12"`` -> ``"T12"``; ValueError when there is no such level."""
    level = text.strip().upper()
    check_level(level)
    return level


def parse_levels(text: str) -> tuple[str, str]:
    """``"T1-L5"`` -> ``("T1", "L5")``; a single level stands for itself."""
    parts = re.split(r"\s*(?:-|\.\.|:)\s*", text.strip())
    if not 1 <= len(parts) <= 2:
        raise ValueError(f"cannot read levels {text!r}: write FIRST-LAST, for example T1-L5")
    return parse_level(parts[0]), parse_level(parts[-1])


def _number(text: str, what: str, whole: str) -> float:
    try:
        value = float(text.rstrip("%"))
    except ValueError:
        raise ValueError(f"{what} {text!r} in {whole!r} is not a number") from None
    return value / 100 if text.endswith("%") else value


def parse_fracture(text: str) -> FractureSpec:
    """``"L1:wedge:0.35"`` or ``"L1:wedge:35%"``; the loss defaults to 0.3."""
    parts = [p.strip() for p in text.split(":")]
    if not 2 <= len(parts) <= 3:
        raise ValueError(
            f"cannot read fracture {text!r}: write LEVEL:KIND:LOSS, for example L1:wedge:0.35"
        )
    loss = _number(parts[2], "loss", text) if len(parts) == 3 else 0.3
    return FractureSpec(parse_level(parts[0]), cast(FractureKind, parts[1].lower()), loss)


def parse_lesion(text: str) -> LesionSpec:
    """``"T10:lytic"``, optionally with an extent and flags: ``"T10:lytic:0.6:mass+convex"``."""
    parts = [p.strip() for p in text.split(":")]
    if not 2 <= len(parts) <= 4:
        raise ValueError(
            f"cannot read lesion {text!r}: write LEVEL:KIND[:EXTENT][:cortex+pedicle+mass+convex],"
            " for example T10:lytic:0.6:mass"
        )
    level, kind = parse_level(parts[0]), cast(LesionKind, parts[1].lower())
    rest = parts[2:]
    extent = _number(rest.pop(0), "extent", text) if rest and rest[0][:1].isdigit() else 0.5
    flags = _lesion_flags(rest[0], text) if rest else {}
    return LesionSpec(level, kind, extent, **flags)


def _lesion_flags(text: str, whole: str) -> dict[str, bool]:
    words = [w.strip().lower() for w in text.split("+") if w.strip()]
    unknown = [w for w in words if w not in _FLAGS]
    if unknown:
        raise ValueError(
            f"unknown lesion option {unknown[0]!r} in {whole!r}: use {', '.join(_FLAGS)}"
        )
    return {name: word in words for word, name in _FLAGS.items()}


def parse_sign(text: str) -> SignSpec:
    """``"L1:convexity:3"``, for what has a side also ``"L1:mass:15:right"``."""
    parts = [p.strip().lower() for p in text.split(":")]
    if not 3 <= len(parts) <= 4:
        raise ValueError(
            f"cannot read sign {text!r}: write LEVEL:KIND:SIZE[:SIDE], for example L1:convexity:3"
        )
    level, kind = parse_level(parts[0]), cast(SignKind, parts[1])
    side = cast(Side, parts[3]) if len(parts) == 4 else "left"
    return SignSpec(level, kind, _number(parts[2], "size", text), side)
