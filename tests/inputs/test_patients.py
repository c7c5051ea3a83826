"""One patient, however written; two are never taken for one."""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from tests.inputs.world import Scan, put, write_scan
from vfx_edge.errors import InputError
from vfx_edge.inputs import load_scan

SCAN = Scan(places=tuple(range(14)), rows=18, columns=20, rows_mm=6.0, columns_mm=6.0)
LATIN, UTF8, KANJI = "ISO_IR 100", "ISO_IR 192", ["", "ISO 2022 IR 87"]


def read_as(folder: Path, *ways: dict[str, object]) -> int:
    """Slices that are read where the ways to write the patient take turns."""

    def edit(one: Dataset, index: int) -> None:
        for keyword, value in ways[index % len(ways)].items():
            setattr(one, keyword, value)

    write_scan(folder, SCAN, edit)
    return load_scan(folder).series.slices


def name(written: str, charset: object = UTF8, **more: object) -> dict[str, object]:
    return {"SpecificCharacterSet": charset, "PatientName": written, **more}


@pytest.mark.parametrize(
    "ways",
    [
        (name("Miller^Anna"), name("Miller^Anna^^^")),
        (name("Miller^Anna "), name(" Miller ^Anna")),
        (name("Miller^Anna"), name("MILLER^ANNA"), name("miller^anna=")),
        (name("Müller^Änne"), name("Müller^Änne", LATIN)),
        (name("Müller^Änne"), name("MULLER^ANNE"), name("Mueller^Aenne")),
        (name("Müller^Änne"), name("Mu\u0308ller^Änne")),
        (name("Yamada^Tarou=山田^太郎=やまだ^たろう", KANJI), name("Yamada^Tarou=山田^太郎")),
        (name("Yamada^Tarou=山田^太郎"), name("=山田^太郎"), name("Yamada^Tarou")),
        (name("Yamada^Tarou=山田^太郎"), name("山田^太郎")),
        (name("Miller^Anna"), name("Miller^Anna^^Dr")),
        (name("Miller^Anna"), name("")),
        (name("Miller^Anna", PatientID="47 11 "), name("Miller^Anna", PatientID=" 47  11")),
        (name("Miller^Anna", PatientID="ab-1"), name("Miller^Anna", PatientID="AB-1")),
        (name("Miller^Anna"), name("Miller^Anna", PatientID="")),
        (name("Miller^Anna"), name("Miller, Anna")),
        ({"PatientBirthDate": "19400102"}, {"PatientBirthDate": ""}),
        ({"PatientSex": "F"}, {"PatientSex": "O"}),
    ],
)  # fmt: skip
def test_one_patient_in_several_spellings(tmp_path: Path, ways) -> None:
    assert read_as(tmp_path, *ways) == len(SCAN.places)


def test_utf8_without_its_character_set(tmp_path: Path) -> None:
    write_scan(tmp_path, SCAN, put(**name("Müller")))
    for path in list(tmp_path.iterdir())[::2]:
        path.write_bytes(path.read_bytes().replace(b"ISO_IR 192", b"          "))
    assert load_scan(tmp_path).series.slices == len(SCAN.places)


@pytest.mark.parametrize(
    "ways",
    [
        ({"PatientID": "4711"}, {"PatientID": "0815"}),
        ({"PatientID": "0815"}, {"PatientID": "815"}),
        (name("Miller^Anna"), name("Miller^Berta")),
        (name("Miller^Anna"), name("Müller^Anna")),
        (name("Yamada^Tarou=山田^太郎"), name("Yamada^Tarou=山口^太郎")),
        (name("Yamada^Tarou=山田^太郎"), name("山口^太郎")),
        (name("Miller^Otto^^^Jr"), name("Miller^Otto^^^Sr")),
        ({"PatientBirthDate": "19400102"}, {"PatientBirthDate": "19400201"}),
        ({"PatientSex": "F"}, {"PatientSex": "M"}),
        (name("Miller^Anna", PatientID=""), name("", PatientID="")),
        (name("Miller^Anna", PatientID=""), name("", PatientID="4711")),
    ],
)
def test_two_patients_are_refused(tmp_path: Path, ways) -> None:
    with pytest.raises(InputError, match="different patients under one series UID"):
        read_as(tmp_path, *ways)
