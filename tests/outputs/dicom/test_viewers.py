"""What other programs read out of the results: dcmqi, on which 3D Slicer's import of
segmentations is built, and the libraries of the OHIF viewer. Each must find every vertebra with
its values, and every voxel where the source has it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from tests.conftest import ROOT
from tests.inputs.world import Edit, Scan, enhanced, put, write_scan
from tests.outputs.fakes import EXAMPLE_CASES, analysis_of, curved_centres
from vfx_edge.inputs import load_scan
from vfx_edge.inputs.source import read_source
from vfx_edge.outputs.result_json import result_to_dict
from vfx_edge.study import Analysis, DicomSource, Level

pytest.importorskip("highdicom", reason="needs the extra service")
from vfx_edge.outputs.dicom.seg import write_seg
from vfx_edge.outputs.dicom.sr import write_sr
from vfx_edge.outputs.labels import label_map

Json = dict[str, Any]
OHIF_READS = Path(__file__).with_name("ohif_reads.mjs")
MODULES = ROOT / "build" / "peers" / "node_modules"
SCANS = {
    "axial": Scan(rows=90, columns=80),
    "feet first": Scan(row=(-1, 0, 0), step=(0, 0, -3), rows=90, columns=80),
    "sagittal": Scan(row=(0, 1, 0), column=(0, 0, -1), step=(3, 0, 0), rows=90),
    "gap": Scan(rows=90, columns=80, places=(*range(19), *range(21, 42))),
    "tilted": Scan(step=(0.0, 0.9, 3.0), rows=90),
}
STATED = put(PatientAge="086Y", PatientWeight="61", IssuerOfPatientID="HOSP")


class Written:
    """A scan, and the results of an analysis that was made up for it."""

    name = ""

    def __init__(self, folder: Path, scan: Scan | None, *edits: Edit) -> None:
        self.ct = folder / "ct"
        if scan is None:
            self.ct.mkdir()
            enhanced(SCANS["axial"]).save_as(self.ct / "ct.dcm", enforce_file_format=True)
        else:
            write_scan(self.ct, scan, *edits)
        volume = load_scan(self.ct)
        middle = volume.image.to_lps(np.array([[n / 2 for n in volume.image.values.shape]]))[0]
        # Beside the middle, so that a flip can't pass.
        centres = {
            level: (float(middle[0] + x / 4 + 7), float(middle[1] - 5), float(middle[2] + z / 9))
            for level, (x, _, z) in curved_centres(sorted(EXAMPLE_CASES)).items()
        }
        self.analysis: Analysis = analysis_of(volume, centres, EXAMPLE_CASES)
        self.source: DicomSource = read_source(self.ct, volume)
        self.labels = label_map(volume.image, self.analysis.masks)
        self.seg = write_seg(self.analysis, self.source, folder / "seg.dcm")
        self.sr = write_sr(self.analysis, self.source, folder / "sr.dcm", segmentation=self.seg)

    @property
    def findings(self) -> list[Json]:
        written: Json = result_to_dict(self.analysis.result)
        findings: list[Json] = written["findings"]
        return findings

    def ours(self, level: str) -> set[tuple[int, ...]]:
        """(z, y, x) of the voxels of a vertebra on the volume's grid, where there is a slice."""
        found = voxels(np.argwhere(self.labels == Level(level).verse))
        corners = [plane["ImagePositionPatient"] for plane in _planes(self.source)]
        zyx = np.rint(self.analysis.scan.image.to_zyx(np.array(corners))).astype(int)
        across = int(np.ptp(zyx, axis=0).argmax())
        return {voxel for voxel in found if voxel[across] in set(zyx[:, across].tolist())}

    def on_grid(self, lps_mm: NDArray[np.float64]) -> set[tuple[int, ...]]:
        zyx = self.analysis.scan.image.to_zyx(lps_mm)
        assert np.abs(zyx - np.rint(zyx)).max() < 0.1
        return voxels(np.rint(zyx).astype(int))


def voxels(indices: NDArray[np.int64]) -> set[tuple[int, ...]]:
    return {tuple(int(v) for v in one) for one in indices}


@pytest.fixture(scope="module", params=[*SCANS, "enhanced"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    made = Written(tmp_path_factory.mktemp("written"), SCANS.get(request.param))
    made.name = request.param
    return made


# --- dcmqi


def dcmqi(tool: str, *arguments: object) -> None:
    beside = Path(sys.executable).with_name(tool)
    program = shutil.which(tool) or (beside if beside.exists() else None)
    if program is None:
        pytest.skip("needs dcmqi: make peers installs it")
    done = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "W: " not in done.stderr.replace("W: The VR checker does not support", "")


def test_dcmqi_puts_every_voxel_where_it_is(written: Written, tmp_path: Path) -> None:
    out = tmp_path / "read"
    out.mkdir()
    dcmqi(
        "segimage2itkimage",
        *("--inputDICOM", written.seg, "--outputDirectory", out, "--outputType", "nrrd"),
        *("--prefix", "s"),
    )
    meta = json.loads((out / "s-meta.json").read_text())
    segments = {one["labelID"]: one for group in meta["segmentAttributes"] for one in group}
    assert [one["SegmentLabel"] for one in segments.values()] == [
        str(mask.vertebra.level) for mask in written.analysis.masks
    ]
    for number, segment in segments.items():
        level = segment["SegmentLabel"]
        assert segment["SegmentedPropertyTypeCodeSequence"]["CodeMeaning"] == f"{level} vertebra"
        image = sitk.ReadImage(out / f"s-{number}.nrrd")
        inside = np.argwhere(sitk.GetArrayFromImage(image) == number)[:, ::-1]
        steps = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
        assert written.on_grid(inside @ steps.T + image.GetOrigin()) == written.ours(level)


def test_dcmqi_reads_every_measurement(written: Written, tmp_path: Path) -> None:
    answer = tmp_path / "sr.json"
    dcmqi("tid1500reader", "--inputDICOM", written.sr, "--outputMetadata", answer)
    groups = json.loads(answer.read_text())["Measurements"]
    assert len(groups) == len(written.findings)
    for group, finding in zip(groups, written.findings, strict=True):
        assert group["TrackingIdentifier"] == finding["level"]
        assert group["FindingSite"]["CodeMeaning"] == f"{finding['level']} vertebra"
        found = {
            item["quantity"]["CodeValue"]: (float(item["value"]), item["units"]["CodeValue"])
            for item in group["measurementItems"]
        }
        assert _same(found, _expected(finding)), (found, finding)


def _expected(finding: Json) -> dict[str, tuple[float, str]]:
    wanted = {"P_LEVEL": (finding["label_probability"] * 100, "%")}
    for name, mm in (finding["heights_mm"] or {}).items():
        wanted[f"HEIGHT_{name.upper()}"] = (mm, "mm")
    if finding["height_loss"] is not None:
        wanted["HEIGHT_LOSS"] = (finding["height_loss"] * 100, "%")
    for kind, share in finding["assessment"].get("probabilities", {}).items():
        wanted[f"P_{kind.upper()}"] = (share * 100, "%")
    return wanted


def _same(found: Json, wanted: Json) -> bool:
    return found.keys() == wanted.keys() and all(
        found[name][1] == unit and abs(found[name][0] - value) < 0.006
        for name, (value, unit) in wanted.items()
    )


# --- OHIF


def ohif_reads(written: Written, folder: Path) -> Json:
    beside = Path(sys.executable).with_name("node")
    node = str(beside) if beside.exists() else shutil.which("node")
    if node is None or not MODULES.is_dir():
        pytest.skip("needs node and OHIF's libraries: make peers installs them")
    planes, answer = folder / "planes.json", folder / "answer.json"
    planes.write_text(json.dumps(_planes(written.source)))
    done = subprocess.run(
        [node, OHIF_READS, MODULES, written.sr, written.seg, planes, answer],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answered: Json = json.loads(answer.read_text())
    return answered


def _planes(source: DicomSource) -> list[Json]:
    """Every slice or frame of the source as a viewer's metadata has it."""
    kept = "SOPInstanceUID SOPClassUID StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID"
    planes = []
    for header in source.instances:
        same: Json = {name: str(header[name].value) for name in kept.split()}
        same |= {"Rows": int(header.Rows), "Columns": int(header.Columns)}
        for at, place in enumerate(_places(header), start=1):
            planes.append(same | {"frame": at} | place)
    return planes


def _places(header: pydicom.Dataset) -> list[Json]:
    wanted = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
    if "PerFrameFunctionalGroupsSequence" not in header:
        return [{name: [float(v) for v in header[name].value] for name in wanted}]
    shared = header.SharedFunctionalGroupsSequence[0]
    return [
        {
            name: [float(v) for group in (frame, shared) for v in _in(group, name)][:size]
            for name, size in zip(wanted, (3, 6, 2), strict=True)
        }
        for frame in header.PerFrameFunctionalGroupsSequence
    ]


def _in(group: pydicom.Dataset, name: str) -> list[Any]:
    sequences = [item for item in group if item.VR == "SQ"]
    return [v for item in sequences if name in item.value[0] for v in item.value[0][name].value]


def test_ohif_marks_every_vertebra_and_lays_every_segment_over_the_slices(
    written: Written, tmp_path: Path
) -> None:
    """It shows segments on the source's own slices or not at all: those of a tilted stack it
    refuses."""
    answer = ohif_reads(written, tmp_path)
    measurements, seg = answer["measurements"], answer["seg"]
    assert [one["site"] for one in measurements] == [
        f"{finding['level']} vertebra" for finding in written.findings
    ]
    for one, finding in zip(measurements, written.findings, strict=True):
        assert one["finding"]
        assert one["place"] == pytest.approx(finding["centroid_lps_mm"], abs=0.01)
    assert ("refused" in seg) is (written.name == "tilted")
    if "refused" not in seg:
        _assert_on_the_slices(written, seg)


def _assert_on_the_slices(written: Written, seg: Json) -> None:
    shown: dict[int, list[NDArray[np.float64]]] = {}
    for plane, found in zip(_planes(written.source), seg["planes"], strict=True):
        row, column = np.reshape(plane["ImageOrientationPatient"], (2, 3))
        for number, pixels in found.items():
            r, c = np.divmod(np.array(pixels), plane["Columns"])
            between_rows, between_columns = plane["PixelSpacing"]
            across = c[:, None] * between_columns * row + r[:, None] * between_rows * column
            shown.setdefault(int(number), []).append(plane["ImagePositionPatient"] + across)
    for number, level in seg["segments"]:
        assert written.on_grid(np.concatenate(shown[number])) == written.ours(level)


# --- the archive


def test_every_result_says_of_patient_and_study_what_the_source_says(tmp_path: Path) -> None:
    """Whatever the order of the planes: a sagittal segmentation starts at the source's last."""
    written = Written(tmp_path, SCANS["sagittal"], STATED)
    for path in (written.seg, written.sr):
        result = pydicom.dcmread(path, stop_before_pixels=True)
        for name in ("PatientAge", "PatientWeight", "IssuerOfPatientID"):
            assert result.get(name) == written.source.first[name].value, (path.name, name)
