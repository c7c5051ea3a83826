"""Nothing that a person typed is shown: canaries in every text of a study, and a search for them
in every file, log line, metric and page that comes out.

DICOM results carry the patient, as the standard asks: by the elements listed here and no others.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.contract.canaries import (
    CANARIES,
    DESCRIPTIONS,
    NAME,
    NUMBER,
    OTHER,
    files_below,
    found_in,
    plant,
    write_planted,
)
from tests.contract.conftest import Answer, Command
from tests.waiting import HANG_S, eventually

ALLOWED = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    *("PatientAge", "PatientIdentityRemoved", "DeidentificationMethod"),
    *("ReferringPhysicianName", "StudyID", "AccessionNumber", "StudyDate", "StudyTime"),
)
"""Patient module and the type 2 attributes of the study."""
EVERYTHING = "json,html,sr,seg,sc,nifti"


def said(answer: Answer) -> list[bytes]:
    return [answer.stdout.encode(), answer.stderr.encode()]


def without_patient(path: Path) -> bytes:
    """A DICOM result less what it may say of the patient, at its root alone."""
    result = pydicom.dcmread(path)
    for keyword in ALLOWED:
        if keyword in result:
            del result[keyword]
    return repr(result).encode() + repr(result.file_meta).encode()


def test_a_run_shows_nothing_that_was_typed(vfx: Command, phantom: Path, tmp_path: Path) -> None:
    write_planted(phantom, tmp_path / "in")
    answer = vfx(
        *(
            "run",
            tmp_path / "in",
            "--outputs",
            EVERYTHING,
            "--json",
            "--verbose",
            "--language",
            "de",
        ),
    )
    assert answer.code == 0, answer
    out = tmp_path / "cwd"
    assert '"description": "CT 1.0"' in answer.stdout
    assert '"kernel": null' in answer.stdout
    results = sorted(out.rglob("*.dcm"))
    assert len(results) >= 4
    assert found_in(map(without_patient, results)) == set()
    assert pydicom.dcmread(results[0]).PatientName == f"{NAME}^{OTHER}^Tschirp"
    for path in results:
        path.unlink()
    assert found_in([*said(answer), *files_below(out)]) == set()


def _broken_zip(_phantom: Path, folder: Path) -> None:
    """Its member's checksum is wrong."""
    folder.mkdir()
    path = folder / "study.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{NAME}/{OTHER}.dcm", b"\0" * 128 + b"DICM" + NUMBER.encode() * 40)
    data = path.read_bytes()
    path.write_bytes(data.replace(NUMBER.encode(), b"9999-999999", 1))


def _texts_for_terms(phantom: Path, folder: Path) -> None:
    for path in write_planted(phantom, folder):
        header = pydicom.dcmread(path)
        with pydicom.config.disable_value_validation():
            header.Modality = NAME
            header.save_as(path, enforce_file_format=True)


def _text_for_terms_alone(phantom: Path, folder: Path) -> None:
    """Two slices of no modality, the second of a name that ends a line."""
    for path in write_planted(phantom, folder)[2:]:
        path.unlink()
    for number, path in enumerate(folder.rglob("*^*")):
        header = pydicom.dcmread(path)
        with pydicom.config.disable_value_validation():
            header.StudyInstanceUID, header.Modality = "1.2.3.4", NAME
            header.save_as(path, enforce_file_format=True)
        path.rename(path.with_name(f"{NAME}\n{number}"))


def _text_for_the_syntax(phantom: Path, folder: Path) -> None:
    for path in write_planted(phantom, folder):
        length = len(b"1.2.840.10008.1.2.1\0")
        word = f"1.2.{NAME}".encode().ljust(length, b"\0")
        path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", word, 1))


def _text_for_uids(phantom: Path, folder: Path) -> None:
    for path in write_planted(phantom, folder):
        header = pydicom.dcmread(path)
        with pydicom.config.disable_value_validation():
            header.StudyInstanceUID, header.SeriesInstanceUID = f"1.2.{NAME}", f"1.2.{NUMBER}"
            header.save_as(path, enforce_file_format=True)


TROUBLE = {
    "terms": _texts_for_terms,
    "syntax": _text_for_the_syntax,
    "uids": _text_for_uids,
    "zip": _broken_zip,
}


@pytest.mark.parametrize("name", TROUBLE)
def test_what_is_refused_is_refused_without_a_word_of_it(
    name: str, vfx: Command, phantom: Path, tmp_path: Path
) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted(phantom.glob("*.dcm"))[:12]:
        shutil.copy(path, few)
    TROUBLE[name](few, tmp_path / "in")
    path = tmp_path / "in" / "study.zip" if name == "zip" else tmp_path / "in"
    answer = vfx("run", path, "--out", tmp_path / "out", "--outputs", "json,sr")
    assert answer.code in (3, 6)
    words = answer.stdout + answer.stderr
    # what a person gave may be named to them
    for file in sorted(path.rglob("*"), key=lambda file: -len(str(file))):
        words = words.replace(str(file), "")
    assert found_in([words.encode()]) == set(), answer
    assert not (tmp_path / "out").exists()


class Service:
    """`vfx-edge watch` on a drop folder, or `vfx-edge listen`, with its page."""

    def __init__(self, folder: Path, *, listens: bool = False) -> None:
        self.drop, self.spool, self.log = folder / "drop", folder / "spool", folder / "log"
        self.drop.mkdir()
        (folder / "service.toml").write_text(
            f'spool = "{self.spool}"\nquiet_s = 1\nmin_free_mib = 0\nport = 0\n'
            'http = "127.0.0.1:0"\n'
            f"outputs = [{', '.join(map(repr, EVERYTHING.split(',')))}]\n".replace("'", '"')
        )
        command = ["listen"] if listens else ["watch", str(self.drop)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vfx_edge", *command, "--config", "service.toml"],
                stdout=log, stderr=log, cwd=folder,
            )  # fmt: skip
        assert eventually(lambda: self.process.poll() or b"ready" in self.log.read_bytes())
        assert self.process.poll() is None, self.log.read_text()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(HANG_S)

    def get(self, path: str) -> bytes:
        (page,) = re.findall(r"http://127\.0\.0\.1:\d+", self.log.read_text())
        with urllib.request.urlopen(f"{page}/{path}", timeout=HANG_S) as answer:
            return bytes(answer.read())

    def reports(self) -> list[str]:
        return re.findall(r"study/[0-9a-f]+/report\.html", self.get("").decode())


def test_the_service_shows_nothing_either(vfx: Command, phantom: Path, tmp_path: Path) -> None:
    service = Service(tmp_path)
    try:
        staging = tmp_path / "staging"
        write_planted(phantom, staging, DESCRIPTIONS[1])
        os.rename(staging / f"{NAME}, Anna", service.drop / f"urgent {NAME}, Anna")
        (service.drop / f"{OTHER}.txt").write_text(f"{NAME} {NUMBER}")
        odd = tmp_path / "odd"
        _broken_zip(phantom, odd)
        os.rename(odd / "study.zip", service.drop / f"{NAME}.zip")
        _text_for_terms_alone(phantom, odd / "terms")
        os.rename(odd / "terms", service.drop / OTHER)
        assert eventually(
            lambda: service.reports() and service.log.read_bytes().count(b"given up") == 2
        )
        shown = [service.get(path) for path in ("", "metrics", "healthz", service.reports()[0])]
        for words in (["list", "--all"], ["list", "--all", "--json"]):
            shown += said(vfx("queue", *words, "--spool", service.spool))
    finally:
        service.stop()
    assert found_in([*shown, service.log.read_bytes()]) == set(), service.log.read_text()
    assert b"Thorax" in shown[0]
    for images in service.spool.glob("studies/*/in"):
        shutil.rmtree(images)
    for result in service.spool.rglob("*.dcm"):
        assert found_in([without_patient(result)]) == set()
        result.unlink()
    assert found_in(files_below(service.spool)) == set()


def test_what_is_sent_leaves_nothing_in_the_log(phantom: Path, tmp_path: Path) -> None:
    """Libraries warn of a date of birth in words that hold it."""
    pynetdicom = pytest.importorskip("pynetdicom", reason="needs the extra service")
    service = Service(tmp_path, listens=True)
    try:
        (port,) = re.findall(r"listens at 127\.0\.0\.1:(\d+)", service.log.read_text())
        scanner = pynetdicom.AE("SCANNER")
        scanner.add_requested_context("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")
        sending = scanner.associate("127.0.0.1", int(port), ae_title="VFX-EDGE")
        for path in write_planted(phantom, tmp_path / "planted")[:2]:
            assert sending.send_c_store(path).Status == 0x0000
        sending.release()
        assert eventually(lambda: b"given up" in service.log.read_bytes())
        shown = [service.get(path) for path in ("", "metrics")]
    finally:
        service.stop()
    assert found_in([*shown, service.log.read_bytes()]) == set(), service.log.read_text()


def test_the_search_finds_them(tmp_path: Path) -> None:
    """Else all of this would prove nothing."""
    header = Dataset()
    header.file_meta = pydicom.dataset.FileMetaDataset()
    plant(header)
    assert len(header) > 1500
    for encoding in ("utf-8", "latin-1", "utf-16-le"):
        text = f"a {OTHER.upper()} and {NAME.lower()}".encode(encoding)
        assert {OTHER, NAME} <= found_in([text]), encoding
    assert set(CANARIES) == found_in([" ".join(CANARIES).encode()])
