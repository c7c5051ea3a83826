"""SNOMED codes of vertebrae, as segments carry them -> VerSe labels."""

from collections.abc import Iterable

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from vfx_edge.level_names import vertebra_label
from vfx_edge.vocabulary import COCCYX, SACRUM, TRANSITIONAL, Level


def coded_label(value: str, scheme: str) -> int | None:
    """The VerSe label of a SNOMED code, in today's form (66794005) or the older one (T-11910)."""
    if not value or not scheme:
        return None
    if scheme.startswith("99VFXEDGE"):
        return vertebra_label(value)
    wanted = Code(value, {"SNM3": "SRT", "99SDM": "SRT"}.get(scheme, scheme), "")
    return next((label for code, label in _coded() if code == wanted), None)


def _coded() -> Iterable[tuple[Code, int]]:
    for level in Level:
        if level not in TRANSITIONAL:
            yield getattr(codes.SCT, f"{level.value}Vertebra"), level.verse
    yield codes.SCT.Sacrum, SACRUM
    yield codes.SCT.Coccyx, COCCYX
