"""What each reader of a model set said of a fracture, in one line of its card."""

from vfx_edge.outputs.wording import Wording
from vfx_edge.study import Classified, Finding, ReaderAnswer


def parts_words(finding: Finding, t: Wording) -> str | None:
    """p(malignant) by each, and how many features were not known; None where the network alone
    was asked."""
    said = finding.assessment
    if not isinstance(said, Classified) or not said.parts:
        return None
    return t("card.parts", parts=" · ".join(_part(part, t) for part in said.parts))


def _part(part: ReaderAnswer, t: Wording) -> str:
    name, value = t(f"card.part_{part.name}"), t.number(part.p_malignant, 2)
    if not part.missing:
        return f"{name} {value}"
    return f"{name} {value} ({t('card.part_missing', count=len(part.missing))})"
