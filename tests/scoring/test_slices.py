"""Figures of a network that sees slices: per slice and per patient, by hand."""

from dataclasses import replace
from pathlib import Path

import jsonschema

from vfx_edge.scoring.about import About
from vfx_edge.scoring.figures import evaluation, load_schema
from vfx_edge.scoring.page import page
from vfx_edge.scoring.rows import VertebraRow
from vfx_edge.scoring.tables import SLICES, read_vertebrae, write_vertebrae

ROW = VertebraRow("sliced", "s1", "p1", "test", "L1", "malignant", tier="uncertain")
ROWS = [
    replace(ROW, p_malignant=0.6, p_malignant_slices="0.9000 0.8000 0.1000"),
    replace(ROW, level="L2", label="osteoporotic", p_malignant=0.7, p_malignant_slices="0.7000"),
    replace(ROW, study="s2", patient="p2", label="osteoporotic", p_malignant=0.2,
            p_malignant_slices="0.2000 0.6000"),
]  # fmt: skip


def test_each_slice_and_each_patient_is_a_case() -> None:
    """p1 is malignant, and answered as the fracture that looks most malignant, by its neighbour's
    0.7; p2 is not."""
    found = evaluation(ROWS, (), About())
    jsonschema.validate(found, dict(load_schema()))
    said = found["classification"]["slices"]
    names = ("true_positive", "false_positive", "true_negative", "false_negative")
    assert [said["slice"]["confusion"][name] for name in names] == [2, 2, 1, 1]
    assert [said["patient"]["confusion"][name] for name in names] == [1, 0, 1, 0]
    assert said["slice"]["patients"] == 2
    html = page(found)
    assert "sliced, per slice" in html
    assert "sliced, per patient" in html


def test_nothing_of_it_where_no_network_sees_slices(tmp_path: Path) -> None:
    rows = [replace(row, p_malignant_slices="") for row in ROWS]
    found = evaluation(rows, (), About())
    assert "slices" not in found["classification"]
    assert "per slice" not in page(found)
    assert SLICES not in write_vertebrae(tmp_path / "v.csv", rows).read_text()


def test_the_table_holds_them_and_nothing_else(tmp_path: Path) -> None:
    path = write_vertebrae(tmp_path / "v.csv", ROWS)
    assert list(read_vertebrae(path).rows) == ROWS
    path.write_text(path.read_text().replace("0.2000 0.6000", "0.2000 nan"))
    table = read_vertebrae(path)
    assert table.rows[2].p_malignant_slices == ""
    assert "p_malignant_slices" in table.problems[0].sentence
