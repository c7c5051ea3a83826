"""Harnesses of NIfTI, zip, masks, segment names, manifests and settings."""

import gzip
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from tests.fuzz.dicom_targets import bytes_of, slices
from tests.fuzz.target import Target, Try, Work, allowed
from tests.fuzz.tiny_seg import tiny_seg
from vfx_edge.errors import ModelError, UsageError
from vfx_edge.image import Image
from vfx_edge.inputs import load_scan
from vfx_edge.inputs.segment_names import coded_label
from vfx_edge.inputs.segmentation import read_segmentation
from vfx_edge.level_names import vertebra_label
from vfx_edge.manifest import load_model_set
from vfx_edge.manifest.files import find_model_set
from vfx_edge.study import Scan, SeriesInfo

AFFINE = np.array([[0, 0, 12, -90], [0, 12, 0, -90], [10, 0, 0, -15], [0, 0, 0, 1]], float)
SERIES, FRAME = "1.2.3.2", "1.2.3.3"


def _hu() -> np.ndarray:
    values = [np.frombuffer(one.PixelData, np.int16).reshape(16, 16) - 1024 for one in slices()]
    return np.stack(values).astype(np.int16)


def _image(values: np.ndarray, name: str, folder: Path) -> bytes:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((12.0, 12.0, 10.0))
    image.SetOrigin((-90.0, -90.0, -15.0))
    if name.endswith("nrrd"):
        image.SetMetaData("Segment0_LabelValue", "20")
        image.SetMetaData("Segment0_Name", "L1")
    sitk.WriteImage(image, str(folder / name))
    return (folder / name).read_bytes()


def _written(values: np.ndarray, name: str) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return _image(values, name, Path(folder))


def _open_nifti(work: Work) -> Try:
    """First byte: whether the name ends in .nii or .nii.gz."""

    def read(data: bytes) -> None:
        name = "ct.nii.gz" if data[:1] == b"\1" else "ct.nii"
        folder = work.put({name: data[1:]})
        allowed(lambda: load_scan(folder / name))
        work.check()

    return read


def _nifti_seeds() -> Sequence[bytes]:
    plain = _written(_hu(), "a.nii")
    return [
        b"\0" + plain,
        b"\1" + gzip.compress(plain),
        b"\1" + plain,
        b"\0" + gzip.compress(plain),
    ]


def _open_zip(work: Work) -> Try:
    def read(data: bytes) -> None:
        folder = work.put({"study.zip": data})
        allowed(lambda: load_scan(folder / "study.zip"))
        work.check()

    return read


def _zip_seeds() -> Sequence[bytes]:
    found = []
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", kind) as archive:
            for number, one in enumerate(slices()):
                archive.writestr(zipfile.ZipInfo(f"a/{number}"), bytes_of(one), kind)
        found.append(stream.getvalue())
    return found


def _open_mask(work: Work) -> Try:
    """First byte: the name's ending."""
    series = SeriesInfo("1.2.3.1", SERIES, "CT", 4, (12.0, 12.0, 10.0), "axial")
    like = Scan(Image(_hu(), AFFINE, "CT", "HU"), series, frame_of_reference=FRAME)
    names = ("m.dcm", "m.nii", "m.nii.gz", "m.nrrd")

    def read(data: bytes) -> None:
        name = names[data[0] % 4] if data else names[0]
        folder = work.put({name: data[1:]})
        allowed(lambda: read_segmentation(folder / name, like))
        work.check()

    return read


def _mask_seeds() -> Sequence[bytes]:
    labels = np.zeros((4, 16, 16), np.uint8)
    labels[1:3, 4:8, 4:8] = 20
    kinds = ("BINARY", "FRACTIONAL", "LABELMAP")
    segs = [b"\0" + bytes_of(tiny_seg(SERIES, FRAME, kind)) for kind in kinds]
    nifti = _written(labels, "m.nii")
    return [*segs, b"\1" + nifti, b"\2" + gzip.compress(nifti), b"\3" + _written(labels, "m.nrrd")]


def _open_names(_work: Work) -> Try:
    def read(data: bytes) -> None:
        text = data.decode("utf-8", "surrogateescape")
        value, _, scheme = text.partition("|")
        label, coded = vertebra_label(text), coded_label(value, scheme)
        for found in (label, coded):
            assert found is None or 1 <= found <= 28, found

    return read


def _names_seeds() -> Sequence[bytes]:
    words = ("L1", "vertebrae_L1", "LWK3", "Th12", "first lumbar vertebra", "L1-L2", "66794005|SCT",
             "T-11910|SRT", "sacrum", "Brustwirbelkörper 7")  # fmt: skip
    return [word.encode() for word in words]


def _open_manifest(work: Work) -> Try:
    shipped = find_model_set("default")
    networks = {path.name: b"" for path in shipped.glob("*.onnx")}

    def read(data: bytes) -> None:
        folder = work.put({"manifest.toml": data, **networks})
        allowed(lambda: load_model_set(folder), ModelError)
        work.check()

    return read


def _manifest_seeds() -> Sequence[bytes]:
    whole = (find_model_set("default") / "manifest.toml").read_bytes()
    return [whole, whole[: whole.index(b"[[network]]", 2000)]]


def _open_settings(work: Work) -> Try:
    from vfx_edge.service.settings import load_settings

    def read(data: bytes) -> None:
        folder = work.put({"service.toml": data})
        allowed(lambda: load_settings(folder / "service.toml", {}), UsageError)
        work.check()

    return read


def _settings_seeds() -> Sequence[bytes]:
    text = """spool = "/spool"
port = 11112
quiet_s = 3
callers = ["CT1"]
addresses = ["10.0.0.0/8"]
http = "127.0.0.1:8080"
complete_on = "association"
[tls]
certificate = "a.pem"
key = "b.pem"
ca = "c.pem"
[[destinations]]
name = "archive"
host = "127.0.0.1"
port = 104
ae_title = "ARCH"
outputs = ["sr"]
"""
    return [text.encode()]


TARGETS = (
    Target("nifti", _open_nifti, _nifti_seeds, longest=8000),
    Target("zip", _open_zip, _zip_seeds, longest=12_000),
    Target("mask", _open_mask, _mask_seeds, longest=8000),
    Target("names", _open_names, _names_seeds, longest=200),
    Target("manifest", _open_manifest, _manifest_seeds, longest=8000),
    Target("settings", _open_settings, _settings_seeds, longest=2000),
)
