"""Headers that are damaged or lie: every element the reader uses, absent, empty, nonsense, huge."""

from collections.abc import Iterator

from tests.hostile.corpus.case import BASE, MIDDLE, Case, Make, Outcome, Reads, Refused
from tests.hostile.corpus.edits import Edit, each, numbers, only, put, raw

SIZE, BITS = "size no CT has", "bit depth makes no sense"
SPACING, NO_SPACING = "pixel spacing makes no sense", "without pixel spacing"
PLACE, TURN = "without a usable position", "without a usable orientation"
RESCALE = "rescale slope or intercept makes no sense"
NO_RESCALE = "rescale (slope|intercept|tags)"

NEEDED: dict[str, list[tuple[str, Edit, str]]] = {
    "Rows": [
        ("absent", put(Rows=None), SIZE),
        ("empty", raw("Rows", b""), SIZE),
        ("zero", put(Rows=0), SIZE),
        ("one", put(Rows=1), SIZE),
        ("huge", put(Rows=65535), SIZE),
        ("large", put(Rows=4000), "truncated"),
        ("text", raw("Rows", b"many", "LO"), SIZE),
        ("three-bytes", raw("Rows", b"\1\0\0", "UN"), f"{SIZE}|damaged"),
    ],
    "Columns": [
        ("absent", put(Columns=None), SIZE),
        ("zero", put(Columns=0), SIZE),
        ("huge", put(Columns=65535), SIZE),
        ("two-values", raw("Columns", numbers("H", 64, 64)), SIZE),
    ],
    "BitsAllocated": [
        ("absent", put(BitsAllocated=None), BITS),
        ("zero", put(BitsAllocated=0), BITS),
        ("one", put(BitsAllocated=1), BITS),
        ("12", put(BitsAllocated=12), BITS),
        ("64", put(BitsAllocated=64, BitsStored=64, HighBit=63), BITS),
        ("65535", put(BitsAllocated=65535), BITS),
        ("32-but-16-there", put(BitsAllocated=32), "truncated"),
        ("text", raw("BitsAllocated", b"sixteen ", "LO"), BITS),
    ],
    "BitsStored": [
        ("77", put(BitsStored=77), BITS),
        ("17", put(BitsStored=17, HighBit=16), BITS),
        ("65535", put(BitsStored=65535), BITS),
    ],
    "HighBit": [
        ("too-low", put(HighBit=3), BITS),
        ("too-high", put(HighBit=16), BITS),
        ("65535", put(HighBit=65535), BITS),
    ],
    "SamplesPerPixel": [
        ("3", put(SamplesPerPixel=3), "more than one value a pixel|colour"),
        ("65535", put(SamplesPerPixel=65535), "more than one value a pixel"),
    ],
    "PhotometricInterpretation": [
        ("RGB", put(PhotometricInterpretation="RGB"), "colour picture"),
        ("PALETTE", put(PhotometricInterpretation="PALETTE COLOR"), "colour picture"),
        ("nonsense", put(PhotometricInterpretation="\x1b[31mRED"), "colour picture"),
    ],
    "PixelSpacing": [
        ("absent", put(PixelSpacing=None), NO_SPACING),
        ("empty", raw("PixelSpacing", b""), NO_SPACING),
        ("one", raw("PixelSpacing", b"6"), NO_SPACING),
        ("three", raw("PixelSpacing", b"6\\6\\6"), NO_SPACING),
        ("zero", put(PixelSpacing=[0, 0]), SPACING),
        ("negative", put(PixelSpacing=[-6, 6]), SPACING),
        ("huge", put(PixelSpacing=[1e6, 1e6]), SPACING),
        ("tiny", put(PixelSpacing=["1e-12", "1e-12"]), SPACING),
        ("nan", raw("PixelSpacing", b"nan\\nan"), NO_SPACING),
        ("inf", raw("PixelSpacing", b"inf\\6"), NO_SPACING),
        ("text", raw("PixelSpacing", b"six\\six"), NO_SPACING),
        ("binary-text", raw("PixelSpacing", b"\xff\xfe\\\xff"), NO_SPACING),
        ("blank", raw("PixelSpacing", b"   \\   "), NO_SPACING),
        ("overflow", raw("PixelSpacing", b"1e999\\1e999"), NO_SPACING),
    ],
    "ImagePositionPatient": [
        ("absent", put(ImagePositionPatient=None), PLACE),
        ("empty", raw("ImagePositionPatient", b""), PLACE),
        ("two", raw("ImagePositionPatient", b"0\\0"), PLACE),
        ("nan", raw("ImagePositionPatient", b"nan\\0\\0"), PLACE),
        ("inf", raw("ImagePositionPatient", b"0\\0\\-inf"), PLACE),
        ("text", raw("ImagePositionPatient", b"here\\and\\there"), PLACE),
        ("far", put(ImagePositionPatient=["1e9", 0, 0]), PLACE),
        ("overflow", raw("ImagePositionPatient", b"1e400\\0\\0"), PLACE),
        ("all-the-same", put(ImagePositionPatient=[0, 0, 0]), "same place"),
    ],
    "ImageOrientationPatient": [
        ("absent", put(ImageOrientationPatient=None), TURN),
        ("empty", raw("ImageOrientationPatient", b""), TURN),
        ("five", raw("ImageOrientationPatient", b"1\\0\\0\\0\\1"), TURN),
        ("zeros", put(ImageOrientationPatient=[0] * 6), TURN),
        ("long", put(ImageOrientationPatient=[3, 0, 0, 0, 3, 0]), TURN),
        ("parallel", put(ImageOrientationPatient=[1, 0, 0, 1, 0, 0]), TURN),
        ("slanted", put(ImageOrientationPatient=[1, 0, 0, ".3", ".954", 0]), TURN),
        ("nan", raw("ImageOrientationPatient", b"nan\\0\\0\\0\\1\\0"), TURN),
        ("text", raw("ImageOrientationPatient", b"L\\P"), TURN),
        ("huge", raw("ImageOrientationPatient", b"1e300\\0\\0\\0\\1e300\\0"), TURN),
    ],
    "RescaleSlope": [
        ("zero", put(RescaleSlope=0), RESCALE),
        ("negative", put(RescaleSlope=-1), RESCALE),
        ("huge", put(RescaleSlope="1e30"), RESCALE),
        ("tiny", put(RescaleSlope="1e-30"), RESCALE),
        ("nan", raw("RescaleSlope", b"nan"), RESCALE),
        ("text", raw("RescaleSlope", b"abc"), RESCALE),
        ("two", raw("RescaleSlope", b"1\\2"), RESCALE),
        ("0.001", put(RescaleSlope="0.001"), "nothing but air|every voxel|slope|tissue"),
    ],
    "RescaleIntercept": [
        ("huge", put(RescaleIntercept="1e30"), RESCALE),
        ("nan", raw("RescaleIntercept", b"nan"), RESCALE),
        ("inf", raw("RescaleIntercept", b"-inf"), RESCALE),
        ("text", raw("RescaleIntercept", b"minus1024"), RESCALE),
        ("zero", put(RescaleIntercept=0), "rescale intercept is missing"),
        ("absent", put(RescaleIntercept=None), "rescale intercept"),
        ("far-below", put(RescaleIntercept=-30000), "every voxel is -1024"),
        ("far-above", put(RescaleIntercept=30000), "every voxel is"),
    ],
    "rescale": [
        ("absent", put(RescaleSlope=None, RescaleIntercept=None, RescaleType=None), "rescale"),
    ],
    "RescaleType": [
        ("Z_EFF", put(RescaleType="Z_EFF"), "not in Hounsfield units"),
        ("OD", put(RescaleType="OD"), "not in Hounsfield units"),
        ("text", put(RescaleType="SECRET^PERSON"), "not in Hounsfield units"),
    ],
    "Modality": [
        ("MR", put(Modality="MR"), "modality MR, not CT"),
        ("terminal", raw("Modality", b"\x1b[31m<b>"), "of an unknown modality, not CT"),
        ("long", raw("Modality", b"A" * 60000, "UT"), "of an unknown modality, not CT"),
    ],
    "SOPClassUID": [
        ("MR", put(SOPClassUID="1.2.840.10008.5.1.4.1.1.4"), "not a CT image"),
        ("secondary", put(SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), "secondary capture"),
        ("absent", put(SOPClassUID=None), "DICOM|not a CT image"),
        ("empty", raw("SOPClassUID", b""), "DICOM|not a CT image"),
        ("nonsense", raw("SOPClassUID", b"SECRET^PERSON"), "not a CT image"),
        ("private", put(SOPClassUID="1.3.12.2.1107.5.9.1"), "not a CT image"),
    ],
    "ImageType": [
        ("scout", put(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "scout"),
        ("report", put(ImageType=["DERIVED", "SECONDARY", "DOSE_INFO"]), "report image"),
        ("mask", put(ImageType=["DERIVED", "SECONDARY", "SEGMENTATION"]), "a mask"),
        ("mip", put(ImageType=["DERIVED", "SECONDARY", "MIP"]), "projection"),
        ("perfusion", put(ImageType=["DERIVED", "PRIMARY", "PERFUSION"]), "computed map"),
    ],
    "NumberOfFrames": [
        ("seven", put(NumberOfFrames=7), "damaged|frames"),
        ("huge", raw("NumberOfFrames", b"2147483647"), "damaged|frames"),
        ("negative", raw("NumberOfFrames", b"-3"), "damaged|frames"),
    ],
    "ModalityLUTSequence": [
        ("lut", put(ModalityLUTSequence=[]), "lookup table"),
    ],
}  # fmt: skip
"""Element -> (damage, how, the sentence) where all slices have it."""

HARMLESS = (
    *("SliceThickness", "AcquisitionNumber", "InstanceNumber", "SeriesDescription"),
    *("ConvolutionKernel", "ContrastBolusAgent", "ContrastBolusVolume", "BodyPartExamined"),
    *("PatientName", "PatientID", "PatientBirthDate", "FrameOfReferenceUID", "StudyInstanceUID"),
    *("SeriesInstanceUID", "SOPInstanceUID", "SliceLocation", "AcquisitionTime", "ContentTime"),
    *("AcquisitionDate", "SpecificCharacterSet", "InstitutionName", "AccessionNumber"),
    *("PatientPosition", "TemporalPositionIdentifier", "NominalPercentageOfCardiacPhase"),
    *("TriggerTime", "SeriesNumber", "StudyDate", "ReferringPhysicianName", "WindowCenter"),
)
"""Elements that say nothing about a voxel: whatever all slices alike state there, they are read."""

NONSENSE: dict[str, bytes | None] = {
    "absent": None,
    "empty": b"",
    "binary": b"\xff\xfe\x1b]0;\x07\xc3\x01",
    "long": b"9" * 20000,
}

PLAIN_TO_SEE: dict[str, Edit] = {
    "spacing as UT": raw("PixelSpacing", b"6\\6", "UT"),
    "spacing as LO": raw("PixelSpacing", b"6\\6", "LO"),
    "spacing as SH": raw("PixelSpacing", b"6.0\\6.0", "SH"),
    "spacing as UN": raw("PixelSpacing", b"6\\6", "UN"),
    "spacing as FD": raw("PixelSpacing", numbers("d", 6.0, 6.0), "FD"),
    "spacing as FL": raw("PixelSpacing", numbers("f", 6.0, 6.0), "FL"),
    "spacing as IS": raw("PixelSpacing", b"6\\6", "IS"),
    "spacing with blanks": raw("PixelSpacing", b" 6 \\ 6 "),
    "spacing with a nul": raw("PixelSpacing", b"6\\6\0"),
    "spacing with an exponent": raw("PixelSpacing", b"6.0E+0\\0.6e1"),
    "spacing of 40 digits": raw("PixelSpacing", b"6." + b"0" * 40 + b"\\6." + b"0" * 40),
    "orientation as UN": raw("ImageOrientationPatient", b"1\\0\\0\\0\\1\\0", "UN"),
    "orientation with a plus": raw("ImageOrientationPatient", b"+1\\0\\0\\0\\+1\\-0"),
    "intercept as LO": raw("RescaleIntercept", b"-1024", "LO"),
    "intercept as FD": raw("RescaleIntercept", numbers("d", -1024.0), "FD"),
    "intercept as SS": raw("RescaleIntercept", numbers("h", -1024), "SS"),
    "rows as UN": raw("Rows", numbers("H", 64), "UN"),
    "rows as UL": raw("Rows", numbers("I", 64), "UL"),
    "rows as IS": raw("Rows", b"64", "IS"),
    "modality with blanks": raw("Modality", b"CT  "),
    "modality in lower case": raw("Modality", b"ct"),
    "rescale type with blanks": raw("RescaleType", b" HU "),
    "rescale type in lower case": raw("RescaleType", b"hu"),
    "bits stored absent": put(BitsStored=None, HighBit=None),
    "sign absent": put(PixelRepresentation=None),
    "samples absent": put(SamplesPerPixel=None),
    "photometric absent": put(PhotometricInterpretation=None),
    "image type absent": put(ImageType=None),
    "image type of binary": raw("ImageType", b"\xff\xfe\\\x00\x01"),
    "rescale type absent": put(RescaleType=None),
    "slope absent": put(RescaleSlope=None),
    "cosines a hair off": raw("ImageOrientationPatient", b"0.99999999\\0\\1e-9\\0\\1\\-1e-9"),
    "no frames stated": raw("NumberOfFrames", b""),
    "one frame": put(NumberOfFrames=1),
    "padding beyond 16 bits": raw("PixelPaddingValue", numbers("i", -70000), "SL"),
    "padding as text": raw("PixelPaddingValue", b"none", "LO"),
    "padding limit alone": raw("PixelPaddingRangeLimit", numbers("H", 100)),
    "monochrome 1": put(PhotometricInterpretation="MONOCHROME1"),
    "private elements": lambda one, _: one.private_block(0x0029, "SECRET", create=True).add_new(
        1, "OB", bytes(5000)
    ),
    "a thousand items": put(ReferencedImageSequence=[]),
}
"""The numbers are plain to see, or not needed: read as the base."""

_SPOILT = (
    ("Rows", put(Rows=0)),
    ("BitsAllocated", put(BitsAllocated=12)),
    ("PixelSpacing", put(PixelSpacing=None)),
    ("ImagePositionPatient", put(ImagePositionPatient=None)),
    ("ImageOrientationPatient", put(ImageOrientationPatient=[0] * 6)),
    ("RescaleSlope", raw("RescaleSlope", b"abc")),
    ("RescaleIntercept", raw("RescaleIntercept", b"nan")),
    ("Modality", put(Modality="MR")),
    ("SOPClassUID", put(SOPClassUID="1.2.840.10008.5.1.4.1.1.7")),
    ("PixelData", put(PixelData=None)),
    ("NumberOfFrames", put(NumberOfFrames=9)),
    ("PhotometricInterpretation", put(PhotometricInterpretation="RGB")),
)
"""Elements that one slice alone has wrong."""


def cases() -> Iterator[Case]:
    for element, rows in NEEDED.items():
        for damage, edit, says in rows:
            yield _case(f"{element} {damage}", each(edit), Refused(says))
    for element in HARMLESS:
        for damage, value in NONSENSE.items():
            edit = put(**{element: None}) if value is None else raw(element, value)
            yield _case(f"{element} {damage}", each(edit), BASE)
    for name, edit in PLAIN_TO_SEE.items():
        yield _case(name, each(edit), BASE)
    comma = Refused("comma|spacing")
    yield _case("decimal comma", each(raw("PixelSpacing", b"6,0\\6,0")), BASE, comma)
    left_out = Reads(warns="left out|passed over", but_for=(MIDDLE,))
    for element, edit in _SPOILT:
        yield _case(f"{element} wrong in one slice", only(edit), left_out)


def _case(name: str, make: Make, *outcomes: Outcome) -> Case:
    return Case("header", name, make, outcomes)
