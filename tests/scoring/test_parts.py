"""The readers of one set beside each other: figures, DeLong, rows."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from vfx_edge.scoring.about import About
from vfx_edge.scoring.cases import Cases
from vfx_edge.scoring.figures_readers import comparisons
from vfx_edge.scoring.parts import parts_of
from vfx_edge.scoring.rows import VertebraRow
from vfx_edge.scoring.tables import read_vertebrae, write_vertebrae


def cases(count: int = 40) -> Cases:
    """Of a set whose tabular network is right and whose network guesses."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(count):
        malignant = i % 2 == 0
        right = float(np.clip((0.8 if malignant else 0.2) + rng.normal(0, 0.1), 0, 1))
        rows.append(
            VertebraRow(
                "set", f"s{i}", f"p{i}", "test", "L1", "malignant" if malignant else "osteoporotic",
                p_osteoporotic=1 - right, p_malignant=right, tier="malignant",
                p_network=float(rng.random()), p_tabular=right,
            )
        )  # fmt: skip
    return Cases(tuple(rows))


def test_each_two_readers_are_compared_by_delong() -> None:
    found = {(one["one"], one["other"]): one for one in comparisons({"set": cases()}, About("d"))}
    assert list(found) == [
        ("set, network", "set, tabular"),
        ("set, network", "set, fusion"),
        ("set, tabular", "set, fusion"),
    ]
    gain = found["set, network", "set, fusion"]
    assert gain["n"] == 40
    assert gain["auc_one"] < 0.7 < gain["auc_other"]
    assert gain["p_value"] < 0.05


def test_a_set_of_a_network_alone_is_shown_once() -> None:
    alone = Cases(tuple(replace(r, p_network=None, p_tabular=None) for r in cases().rows))
    assert parts_of("set", alone) == {}
    assert comparisons({"set": alone}, About("d")) == []


def test_without_a_fusion_the_sets_answer_is_not_shown_twice() -> None:
    rows = (replace(row, p_malignant=row.p_network) for row in cases().rows)
    assert list(parts_of("set", Cases(tuple(rows)))) == ["set, network", "set, tabular"]


def test_rows_keep_what_each_reader_said(tmp_path: Path) -> None:
    rows = cases(4).rows
    assert read_vertebrae(write_vertebrae(tmp_path / "vertebrae.csv", rows)).rows == rows
