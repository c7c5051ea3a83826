"""What of a header's texts is shown: words of a closed list that are nobody's name."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.canaries import DESCRIPTIONS, found_in
from tests.inputs.world import Scan, put, write_scan
from vfx_edge.inputs import load_scan
from vfx_edge.inputs.words import (
    Typed,
    kernel_shown,
    modality_shown,
    personal_words,
    shown,
    syntax_name,
    syntax_shown,
)

PEOPLE = personal_words(["Müller-Lüdenscheidt^Anna", "Herz^Li", "4711-B31f", "19400102"])


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ("Thorax  2.0  B31f", "Thorax 2.0"),  # the kernel is in the patient's number
        ("BWS/LWS 1,5 Br60 sag", "BWS LWS 1,5 Br60 sag"),
        ("Wirbelsäule nativ 5 mm", "Wirbelsäule nativ 5 mm"),
        ("BWS+LWS 0.625 CT+Anna+", "BWS LWS 0.625 CT"),
        ("5.4 Chest/ Abd/ Pelvis*", "5.4 Chest Abd Pelvis"),
        ("CT_NAME_1.0", "CT 1.0"),
        ("MUELLER-CT", "CT"),
        ("Mu\u0308ller CT", "CT"),
        ("ＣＴ Ｍüller", "CT"),
        ("MüllerThorax Thorax5Anna", ""),
        ("Herz CT", "CT"),
        ("Li CT li", "CT"),
        ("Frau Meier Hals", "Hals"),
        ("Tel 0.30 123456", ""),
        ("2.1. 1950", ""),
        ("12.03. 1.12", ""),
        ("1950-01-02 CT 86J", "CT"),
        ("150cc OMNIPAQUE", ""),
        ("ven 70% FC08", "ven 70% FC08"),
        ("٥.٠ mm T12", "T12"),
        ("\x1b[31mCT\x00\n\u202eHWS", "HWS"),
    ],
)
def test_a_description_is_shown_by_the_words_of_the_list(description: str, words: str) -> None:
    assert shown(description, PEOPLE) == words


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        (["Br40d", "3"], "Br40d 3"),
        (["B"], "B"),
        (["STANDARD"], "STANDARD"),
        (["STD+"], "STD+"),
        (["I70f", "2"], "I70f 2"),
        (["FC08"], "FC08"),
        (["B31f MUELLER"], None),
        (["B31f"], None),  # in the patient's number
        (["Meier"], None),
        (["4711"], None),
        (["3"], None),
        ([], None),
    ],
)
def test_a_kernel_is_shown_where_it_looks_like_one(kernel: list[str], words: str | None) -> None:
    assert kernel_shown(kernel, PEOPLE) == words


@given(st.text(max_size=60), st.text(max_size=30))
def test_nothing_of_a_name_is_left_however_it_is_written(description: str, name: str) -> None:
    personal = personal_words([name])
    for word in shown(f"CT {description} {name} Thorax", personal).split():
        assert word.casefold() not in personal
    assert shown(name, personal) == ""


def test_no_canary_passes_though_no_attribute_names_the_person() -> None:
    for description in DESCRIPTIONS:
        assert found_in([shown(description, frozenset()).encode()]) == set()


def test_terms_are_the_standards_own() -> None:
    assert modality_shown("MR") == "modality MR"
    assert modality_shown("MEIER") == "an unknown modality"
    assert syntax_shown("1.2.840.10008.1.2.4.90") == "1.2.840.10008.1.2.4.90"
    for odd in ("1.2.MEIER", "MEIER", "1.2.4711", "1.2.840.10008.5.1.4.1.1.2"):
        assert syntax_shown(odd) == syntax_name(odd) == "an unknown transfer syntax"


def test_a_name_that_only_one_slice_states_is_a_name(tmp_path: Path) -> None:
    def odd(header, index: int) -> None:
        header.PatientName = "Herz^Anna"
        header.OperatorsName = "Becken" if index == 7 else ""
        header.ConsultingPhysicianName = "Atlas" if index == 3 else ""

    write_scan(tmp_path, Scan(), odd, put(SeriesDescription="CT Herz Becken Atlas venous"))
    series = load_scan(tmp_path).series
    assert series.description == "CT venous"


def test_what_was_typed_is_in_no_repr() -> None:
    assert "Meier" not in repr(Typed("Meier", ("Meier",), ("Meier",)))
