"""The readers of one model set beside each other: network, tabular network, their fusion."""

from dataclasses import replace

from vfx_edge.scoring.cases import Cases

WORDS = {"p_network": "network", "p_tabular": "tabular", "p_malignant": "fusion"}
"""Field of a row -> how the reader is called whose p(malignant) it is."""


def part_name(model: str, word: str) -> str:
    """The name of one reader's approach."""
    return f"{model}, {word}"


def parts_of(model: str, cases: Cases) -> dict[str, Cases]:
    """Approach -> the cases that all readers of the set answered, with this one's p(malignant).
    Empty for a set of a network alone. Without a fusion the set's answer is its network's, which
    then is not shown twice."""
    both = tuple(
        row for row in cases.rows if None not in (row.p_network, row.p_tabular, row.p_malignant)
    )
    if not both:
        return {}
    fused = any(row.p_malignant != row.p_network for row in both)
    fields = [field for field in WORDS if fused or field != "p_malignant"]
    return {
        part_name(model, WORDS[field]): Cases(
            tuple(replace(row, p_malignant=getattr(row, field)) for row in both)
        )
        for field in fields
    }
