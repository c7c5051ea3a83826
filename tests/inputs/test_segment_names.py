"""What segments are called, by people and by programs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vfx_edge.inputs.segment_names import coded_label
from vfx_edge.level_names import vertebra_label
from vfx_edge.study import Level

FORMS = ("{r}{n}", "{r} {n}", "vertebrae_{r}{n}", "{r}{n} vertebra", "Vertebra {r}{n}",
         "{r}{n:02d}", "{r}{n} corrected", "{r}-{n}")  # fmt: skip
CALLED = {
    "C": ("C", "c", "HWK", "Cervical "),
    "T": ("T", "t", "Th", "TH", "D", "BWK", "Brustwirbelkörper ", "thoracic "),
    "L": ("L", "l", "LWK", "Lendenwirbel ", "lumbar vertebra "),
}


@given(st.sampled_from(Level), st.sampled_from(FORMS), st.data())
def test_every_level_under_all_its_names(level: Level, form: str, data: st.DataObject) -> None:
    region = data.draw(st.sampled_from(CALLED[level[0]]))
    assert vertebra_label(form.format(r=region, n=int(level[1:]))) == level.verse


@given(st.text("LTCltch019 -_/.,é", max_size=12))
def test_any_text_names_one_vertebra_or_none(text: str) -> None:
    label = vertebra_label(text)
    assert label is None or 1 <= label <= 28


@pytest.mark.parametrize(
    "name",
    [
        *("", "Segment_1", "Segment 3", "vertebra 20", "L", "C8", "L7", "T0", "aorta", "L1-L2"),
        *("L1/2", "L5/S1", "disc L1", "rib T12", "T1 weighted", "L1 L2", "L1.5", "liver", "20"),
    ],
)
def test_what_names_no_one_vertebra(name: str) -> None:
    assert vertebra_label(name) is None


@pytest.mark.parametrize(
    ("name", "label"),
    [("First lumbar vertebra", 20), ("twelfth thoracic vertebra", 19), ("sacrum", 26),
     ("vertebrae_S1", 26), ("Kreuzbein", 26), ("Steißbein", 27), ("Atlas", 1), ("T13", 28)],
)  # fmt: skip
def test_names_in_words(name: str, label: int) -> None:
    assert vertebra_label(name) == label


@pytest.mark.parametrize(
    ("value", "scheme", "label"),
    [("66794005", "SCT", 20), ("T-11910", "SRT", 20), ("T-11910", "SNM3", 20),
     ("54735007", "SCT", 26), ("T13", "99VFXEDGE", 28), ("85756007", "SCT", None), ("", "", None)],
)  # fmt: skip
def test_codes_of_today_and_of_older_files(value: str, scheme: str, label: int | None) -> None:
    assert coded_label(value, scheme) == label
