"""Codes of vertebrae in segmentations."""

import pytest

from vfx_edge.inputs.segment_names import coded_label


@pytest.mark.parametrize(
    ("value", "scheme", "label"),
    [("66794005", "SCT", 20), ("T-11910", "SRT", 20), ("T-11910", "SNM3", 20),
     ("54735007", "SCT", 26), ("T13", "99VFXEDGE", 28), ("85756007", "SCT", None), ("", "", None)],
)  # fmt: skip
def test_codes_of_today_and_of_older_files(value: str, scheme: str, label: int | None) -> None:
    assert coded_label(value, scheme) == label
