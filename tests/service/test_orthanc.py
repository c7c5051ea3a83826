"""Orthanc end to end on loopback: CT goes in, results come back to the same study."""

import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest

from tests.contract.dicom_files import write_series
from tests.service.nodes import dcmtk
from tests.service.processes import ROOT, free_port, killable
from tests.waiting import HANG_S, eventually, lasts
from vfx_edge.outputs.kinds import KINDS
from vfx_edge.service.store.queue import Queue, State

ORTHANC = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
SHIPPED = ROOT / "integration" / "orthanc"
pytestmark = pytest.mark.skipif(ORTHANC is None, reason="needs Orthanc: make peers installs it")
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
WANTED = ("sr", "seg", "sc")


@dataclass
class Orthanc:
    """A running Orthanc with the set-up that is shipped."""

    dicom_port: int
    http_port: int

    def get(self, path: str) -> Any:
        """What its REST API answers."""
        url = f"http://127.0.0.1:{self.http_port}{path}"
        with urllib.request.urlopen(url, timeout=HANG_S) as answer:
            return json.load(answer)

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self.get("/system"))
        except OSError:
            return False

    def send(self, folder: Path) -> None:
        """A scanner sends a study to it."""
        # proposes the transfer syntaxes that the files have
        sent = dcmtk(
            "dcmsend", "-aec", "ORTHANC", "+sd", "+r", "127.0.0.1", self.dicom_port, folder
        )
        assert sent.returncode == 0, sent.stderr

    def instances(self) -> dict[str, list[tuple[str, str]]]:
        """Modality or description of a series -> its instances, as (study UID, SOP UID)."""
        found: dict[str, list[tuple[str, str]]] = {}
        for series in self.get("/series?expand"):
            study = self.get(f"/studies/{series['ParentStudy']}")["MainDicomTags"]
            name = series["MainDicomTags"].get("Modality") or "result"
            for one in series["Instances"]:
                tags = self.get(f"/instances/{one}")["MainDicomTags"]
                pair = study["StudyInstanceUID"], tags["SOPInstanceUID"]
                found.setdefault(name, []).append(pair)
        return found


@contextmanager
def orthanc(folder: Path, node_port: int) -> Iterator[Orthanc]:
    """Orthanc with the shipped configuration and script; only places, ports and times differ."""
    assert ORTHANC is not None
    running = Orthanc(free_port(), free_port())
    config = json.loads((SHIPPED / "orthanc.json").read_text("utf-8"))
    config |= {
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "HttpPort": running.http_port,
        "DicomPort": running.dicom_port,
        "StableAge": 2,
        "LuaHeartBeatPeriod": 2,
        "LuaScripts": [str(SHIPPED / "vfx-edge.lua")],
        "DicomModalities": {"vfx-edge": ["VFX-EDGE", "127.0.0.1", node_port]},
    }
    if DICOMWEB.exists():
        config["Plugins"] = [str(DICOMWEB)]
    folder.mkdir()
    (folder / "orthanc.json").write_text(json.dumps(config))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([ORTHANC, folder / "orthanc.json"], stdout=log, stderr=log)
        try:
            assert eventually(running.is_up), (folder / "log").read_text()
            yield running
        finally:
            process.terminate()
            process.wait(HANG_S)


def destination(running: Orthanc) -> dict[str, Any]:
    return {
        "name": "ORTHANC",
        "ae_title": "ORTHANC",
        "host": "127.0.0.1",
        "port": running.dicom_port,
    }


@pytest.mark.parametrize("down_at_first", [False, True])
def test_orthanc_sends_new_ct_and_takes_results_once(down_at_first: bool, tmp_path: Path) -> None:
    """With a chain that takes no time; a service that is down when the CT comes gets it later."""
    for path in write_series(tmp_path / "ct", slices=6):
        ds = pydicom.dcmread(path)
        ds.StudyDescription = "plain"  # the quick chain asks for one
        ds.save_as(path)
    port = free_port()
    with (
        orthanc(tmp_path / "orthanc", port) as archive,
        killable(tmp_path / "service", port=port, destinations=[destination(archive)]) as service,
    ):
        if not down_at_first:
            service.start()
        archive.send(tmp_path / "ct")
        if down_at_first:
            failed = lambda: any(j["State"] == "Failure" for j in archive.get("/jobs?expand"))  # noqa: E731
            assert eventually(failed)
            service.start()
            again = [sys.executable, str(SHIPPED / "send_again.py")]
            subprocess.run([*again, f"http://127.0.0.1:{archive.http_port}"], check=True)
        assert eventually(lambda: sum(map(len, archive.instances().values())) == 9), (
            archive.instances(),
            service.log,
        )
        found = archive.instances()
        assert len(found.pop("CT")) == 6
        (results,) = found.values()
        assert len(set(results)) == 3
        assert {study for study, _ in results} == {study for study, _ in archive.instances()["CT"]}
        assert lasts(lambda: sum(map(len, archive.instances().values())) == 9, 5)


@pytest.mark.skipif(not {*WANTED} <= {*KINDS}, reason="this version writes no DICOM results")
@pytest.mark.parametrize("name", ["ct_thoracic_1mm_dicom"])
def test_real_ct_comes_back_with_its_results(name: str, tmp_path: Path, shared_data: Path) -> None:
    """The command itself, real CT, the real chain: references intact, over Orthanc's REST API."""
    port = free_port()
    with orthanc(tmp_path / "orthanc", port) as archive:
        command = [sys.executable, "-m", "vfx_edge", "listen", "--port", str(port)]
        command += ["--spool", str(tmp_path / "spool"), "--quiet-time", "2"]
        command += ["--send", f"ORTHANC@127.0.0.1:{archive.dicom_port}"]
        if DICOMWEB.exists():  # the same results once more, by STOW-RS
            command += ["--send", f"http://127.0.0.1:{archive.http_port}/dicom-web"]
        command += ["--outputs", ",".join(("json", "html", *WANTED))]
        with subprocess.Popen(command, cwd=ROOT) as service:
            try:
                archive.send(shared_data / name)
                assert eventually(lambda: _all_sent(tmp_path / "spool"))
                found = archive.instances()
            finally:
                service.terminate()
        assert len({study for pairs in found.values() for study, _ in pairs}) == 1
        there = {instance for pairs in found.values() for _, instance in pairs}
        for kind in ("SR", "SEG", "OT"):
            assert len(found[kind]) == 1
            references = _references(archive, found[kind][0][1])
            assert {instance for _, instance in found["CT"]} <= references <= there


def _all_sent(spool: Path) -> bool:
    """Whether the study's results are with every destination; seen from another process."""
    queue = Queue(spool / "queue", "sends")
    try:
        entries = queue.entries()
    finally:
        queue.close()
    assert not any(entry.reason for entry in entries), entries
    return bool(entries) and all(entry.state is State.DONE for entry in entries)


def _references(archive: Orthanc, instance: str) -> set[str]:
    """The SOP instance UIDs that an instance names, wherever in it."""
    (found,) = _lookup(archive, instance)
    named: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if "ReferencedSOPInstanceUID" in value:
                named.add(value["ReferencedSOPInstanceUID"])
            for below in value.values():
                walk(below)
        elif isinstance(value, list):
            for below in value:
                walk(below)

    walk(archive.get(f"/instances/{found}/simplified-tags"))
    return named


def _lookup(archive: Orthanc, instance: str) -> list[str]:
    url = f"http://127.0.0.1:{archive.http_port}/tools/lookup"
    with urllib.request.urlopen(url, data=instance.encode(), timeout=HANG_S) as answer:
        return [one["ID"] for one in json.load(answer) if one["Type"] == "Instance"]
