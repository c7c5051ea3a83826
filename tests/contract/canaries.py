"""A study with a person's name, date of birth and numbers in every text that DICOM knows, in many
spellings; and a search for them in whatever comes out, as text, packed, or in another encoding.

What they are is nowhere else: whoever shows one has shown a header's text.
"""

import base64
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

NAME = "Kanarienvogl"
OTHER = "Zwitscherlöwe"
DATE = "1931-02-29"
NUMBER = "0815-471147"
CANARIES = (NAME, OTHER, "Zwitscherlowe", "Zwitscherloewe", "Piepmatzin", DATE, "19310229",
            "29.02.1931", NUMBER, "0815471147", "Kanari", "tschirp")  # fmt: skip
DESCRIPTIONS = (
    f"CT_{NAME}_1.0",
    f"Thorax-{OTHER.upper()} B31f {DATE}",
    f"{NAME}, Anna 29.02.1931 5.0 mm",
    f"LWS Zwitscherlo\u0308we Tel {NUMBER}",  # a combining umlaut
    "Piepmatzin/BWS\\Qx 19310229",
)
TEXTS = {
    "AE": "KANARI_AE", "AS": "Kanari", "CS": NAME.upper(), "DA": DATE, "DT": DATE, "LO": NAME,
    "LT": f"{NAME} {DATE}", "PN": f"{NAME}^Tschirp", "SH": f"{NAME} {NUMBER[:4]}",
    "ST": f"Dr. {OTHER}", "TM": f"{NAME} o'clock", "UC": NAME, "UI": f"1.2.{NAME}",
    "UR": f"http://{NAME}.example", "UT": f"{OTHER}, {NUMBER}",
}  # fmt: skip
NEEDED = {
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"),
    *("FrameOfReferenceUID", "SpecificCharacterSet", "ImageType", "FrameType", "Modality"),
    *("PhotometricInterpretation", "RescaleType", "SeriesDescription", "ConvolutionKernel"),
    *("PatientName", "PatientID"),
}
"""Without these it would be no CT, or is planted by hand."""
FILE_META: dict[str, object] = {
    "SourceApplicationEntityTitle": "KANARI_META",
    "ImplementationVersionName": "KANARI_1",
    "PrivateInformationCreatorUID": "1.2.3",
    "PrivateInformation": NAME.encode(),
}
FIRST = 0x00080000
"""Before it are commands and the file meta group."""


def plant(header: Dataset) -> None:
    """Puts them into every text element of the dictionary, in sequences and in private elements."""
    with pydicom.config.disable_value_validation():
        header.SpecificCharacterSet = "ISO_IR 192"
        for tag, (vr, *_, keyword) in _dictionary().items():
            if tag >= FIRST and vr in TEXTS and keyword and keyword not in NEEDED:
                setattr(header, keyword, TEXTS[vr])
        header.PatientName = f"{NAME}^{OTHER}^Tschirp"
        header.PatientID = NUMBER
        header.SeriesDescription = DESCRIPTIONS[0]
        header.ConvolutionKernel = f"B31f {NAME}"
        header.OtherPatientIDsSequence = Sequence([_item(PatientID=NUMBER), Dataset()])
        header.RequestAttributesSequence = Sequence([_item(RequestedProcedureDescription=NAME)])
        header.ProcedureCodeSequence = Sequence([_item(CodeMeaning=OTHER)])
        block = header.private_block(0x0019, NAME, create=True)
        block.add_new(0x01, "LO", OTHER)
        block.add_new(0x02, "SQ", Sequence([_item(PatientName=NAME)]))
        for keyword, value in FILE_META.items():
            setattr(header.file_meta, keyword, value)


def _dictionary() -> dict[int, tuple[str, str, str, str, str]]:
    """Tag -> (VR, VM, name, retired, keyword)."""
    found: dict[int, tuple[str, str, str, str, str]] = vars(pydicom.datadict)["DicomDictionary"]
    return found


def _item(**values: object) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def write_planted(phantom: Path, folder: Path, description: str = DESCRIPTIONS[0]) -> list[Path]:
    """The phantom's slices with them, in files and folders that are called so, too."""
    below = folder / f"{NAME}, Anna" / f"geb {DATE}"
    below.mkdir(parents=True)
    made = []
    for number, path in enumerate(sorted(phantom.glob("*.dcm"))):
        header = pydicom.dcmread(path)
        plant(header)
        header.SeriesDescription = description
        made.append(below / f"{OTHER}^{number:04d}")
        with pydicom.config.disable_value_validation():
            header.save_as(made[-1], enforce_file_format=True)
    return made


def found_in(blobs: Iterable[bytes]) -> set[str]:
    """The canaries in them, in any case and in each encoding that a header or a program may use."""
    there = set()
    for blob in blobs:
        for form in _forms(blob):
            lower = form.lower()
            there |= {one for one, coded in _coded() if coded in lower}
    return there


_SPELLINGS = {one: {one.casefold(), one.upper()} for one in CANARIES}
_SPELLINGS[OTHER] |= {"zwitscherlo\u0308we", "zwitscherl&#246;we", "zwitscherl\\u00f6we"}


@cache
def _coded() -> list[tuple[str, bytes]]:
    """As bytes whose ASCII letters are small, as `bytes.lower` leaves them."""
    return [
        (one, spelled.encode(encoding).lower())
        for one, spellings in _SPELLINGS.items()
        for spelled in spellings
        for encoding in ("utf-8", "latin-1", "utf-16-le", "utf-16-be")
        if encoding != "latin-1" or "\u0308" not in spelled
    ]


def _forms(blob: bytes) -> Iterator[bytes]:
    """The bytes themselves, and what is packed in them."""
    yield blob
    if blob[:2] == b"\x1f\x8b":
        yield gzip.decompress(blob)[:4096]  # the header; the voxels follow
    for coded in re.findall(rb"base64,([A-Za-z0-9+/=]+)", blob):
        picture = base64.b64decode(coded)
        yield picture
        yield from _png_texts(picture)


def _png_texts(picture: bytes) -> Iterator[bytes]:
    at = 8
    while picture[:4] == b"\x89PNG" and at + 8 <= len(picture):
        size, kind = int.from_bytes(picture[at : at + 4], "big"), picture[at + 4 : at + 8]
        if kind in (b"zTXt", b"iTXt"):
            body = picture[at + 8 : at + 8 + size]
            start = body.find(b"\x78")
            if start >= 0:
                yield zlib.decompressobj().decompress(body[start:])
        at += size + 12


def files_below(folder: Path) -> Iterator[bytes]:
    """What lies there, and what it is called."""
    for path in folder.rglob("*"):
        yield str(path.relative_to(folder)).encode("utf-8", "surrogateescape")
        if path.is_file():
            yield path.read_bytes()
