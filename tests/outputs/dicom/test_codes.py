"""The private codes: short enough for every archive, in both languages, documented, all used."""

from pathlib import Path

from vfx_edge.outputs.dicom.codes import PRIVATE, REASONS
from vfx_edge.vocabulary import Reason


def test_codes_fit_and_have_both_languages() -> None:
    """SH of at most 16 and LO of at most 64 characters: longer ones some archives cut."""
    for value, meanings in PRIVATE.items():
        assert len(value) <= 16
        assert set(meanings) == {"en", "de"}
        assert all(0 < len(meaning) <= 64 for meaning in meanings.values()), value


def test_every_private_code_is_in_the_documents() -> None:
    page = (Path(__file__).parents[3] / "docs" / "dicom.md").read_text("utf-8")
    rows = set(page.splitlines())
    for value, meanings in PRIVATE.items():
        assert f"| `{value}` | {meanings['en']} | {meanings['de']} |" in rows


def test_every_reason_has_a_code_of_its_own() -> None:
    assert REASONS.keys() == {*Reason}
    assert len({*REASONS.values()}) == len(REASONS)
    assert {*REASONS.values()} <= PRIVATE.keys()
