"""What vertebrae are called, by people and by programs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vfx_edge.level_names import class_level, vertebra_label
from vfx_edge.study import Level

FORMS = ("{r}{n}", "{r} {n}", "vertebrae_{r}{n}", "{r}{n} vertebra", "Vertebra {r}{n}",
         "vertebra_{r}{n}", "{r}{n:02d}", "{r}{n} corrected", "{r}-{n}")  # fmt: skip
CALLED = {
    "C": ("C", "c", "HWK", "Cervical "),
    "T": ("T", "t", "Th", "TH", "D", "BWK", "Brustwirbelkörper ", "thoracic "),
    "L": ("L", "l", "LWK", "Lendenwirbel ", "lumbar vertebra "),
}


@given(st.sampled_from(Level), st.sampled_from(FORMS), st.data())
def test_every_level_under_all_its_names(level: Level, form: str, data: st.DataObject) -> None:
    name = form.format(r=data.draw(st.sampled_from(CALLED[level[0]])), n=int(level[1:]))
    assert (vertebra_label(name), class_level(name)) == (level.verse, level)


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


@pytest.mark.parametrize("form", ["{v}", "{v:02d}", "label_{v}", "vertebra {v}", "VerSe-{v}"])
def test_a_number_is_verses_in_a_networks_classes_alone(form: str) -> None:
    names = {form.format(v=number): number for number in range(30)}
    verse = {level.verse: level for level in Level}
    assert {name: class_level(name) for name in names} == {n: verse.get(names[n]) for n in names}
    assert not any(map(vertebra_label, names))


@pytest.mark.parametrize("name", ["sacrum", "vertebrae_L9", "vertebrae_S1", "aorta", "L1_disc"])
def test_a_class_that_means_no_level(name: str) -> None:
    assert class_level(name) is None
