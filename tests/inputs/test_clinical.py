"""Facts of the patient: from a file of anybody's making, and from the header."""

import json
from pathlib import Path

import pytest

from vfx_edge.fracture_task import Options, OptionsInvalid
from vfx_edge.inputs.clinical import ClinicalUnreadable, of_header, read_clinical
from vfx_edge.study import NOTHING_KNOWN, Clinical

ALL = Clinical(71.5, "f", known_tumour=True, previous_fracture=False)


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "patient.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"age": 71.5, "sex": "F", "known_tumour": True, "previous_fracture": False}),
        "age,sex,known_tumour,previous_fracture\n71.5,female,yes,no\n",
        '\ufeffage;sex;known_tumour;previous_fracture\r\n"71,5";w;ja;nein\r\n',
    ],
)
def test_json_and_csv_say_the_same(tmp_path: Path, content: str) -> None:
    assert read_clinical(written(tmp_path, content)) == ALL


def test_what_is_left_out_empty_or_null_is_not_known_which_is_no_no(tmp_path: Path) -> None:
    assert read_clinical(written(tmp_path, "{}")) == NOTHING_KNOWN
    some = read_clinical(written(tmp_path, '{"age": null, "sex": "", "known_tumour": "no"}'))
    assert (some, some.known) == (Clinical(known_tumour=False), ("known_tumour",))


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[1]", "71", '{"sex": "f", "sex": "m"}', '{"age": ' + "9" * 5000 + "}",
        '{"age": "SECRET"}', '{"age": true}', '{"age": 1e999}',
        '{"age": NaN}', '{"age": -1}', '{"age": 300}', '{"sex": "SECRET"}', '{"sex": 1}',
        '{"known_tumour": "SECRET"}', '{"known_tumour": [1]}', '{"SECRET": 1}', "age\n",
        "age,age\n1,2\n", "age\n70\n71\n", "age,sex\n70\n", b"\xff\xfe\x00", b"age\n\xe4\n",
        '{"age":' * 3000, "x" * 70_000, "SECRET,sex\n1,f\n", 'age\n"70\n',
    ],
)  # fmt: skip
def test_what_holds_no_facts_of_one_patient_is_refused_without_quoting_it(
    tmp_path: Path, content: str | bytes
) -> None:
    with pytest.raises(ClinicalUnreadable, match=r"patient.txt can't be read .*known_tumour") as no:
        read_clinical(written(tmp_path, content))
    assert "SECRET" not in str(no.value)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    for path, why in ((tmp_path, "it is no file"), (tmp_path / "nothing", "no such file")):
        with pytest.raises(ClinicalUnreadable, match=why):
            read_clinical(path)


def test_facts_of_another_kind_are_refused_in_python() -> None:
    with pytest.raises(OptionsInvalid, match="clinical"):
        Options(clinical={"age": 71})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("age", "sex", "known"),
    [
        ("071Y", "F", Clinical(71.0, "f")),
        ("018M", "m", Clinical(1.5, "m")),
        ("71", "O", NOTHING_KNOWN),
        ("999Y", "", NOTHING_KNOWN),
        ("", "female", NOTHING_KNOWN),
    ],
)
def test_a_headers_age_and_sex(age: str, sex: str, known: Clinical) -> None:
    assert of_header(age, sex) == known


def test_what_is_given_comes_before_the_header() -> None:
    assert Clinical(age=60).completed(Clinical(71, "f")) == Clinical(60, "f")


def test_features_are_numbers_and_what_is_not_known_is_none() -> None:
    found = ALL.features
    assert found == {
        "clinical_age": 71.5,
        "clinical_sex": 1.0,
        "clinical_known_tumour": 1.0,
        "clinical_previous_fracture": 0.0,
    }
    assert all(value != value for value in NOTHING_KNOWN.features.values())
