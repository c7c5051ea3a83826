"""A DICOM Segmentation of a few bytes, on the tiny CT."""

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian


def _item(**values: object) -> Sequence:
    one = Dataset()
    for keyword, value in values.items():
        setattr(one, keyword, value)
    return Sequence([one])


def tiny_seg(series: str, frame: str, kind: str = "BINARY", planes: int = 3) -> Dataset:
    """Two segments, L1 and L2, on 16 x 16 pixels."""
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.SOPClassUID, one.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.3.9"
    one.Modality, one.SeriesInstanceUID, one.FrameOfReferenceUID = "SEG", "1.2.3.8", frame
    one.SegmentationType, one.NumberOfFrames = kind, planes
    one.Rows = one.Columns = 16
    bits = 1 if kind == "BINARY" else 8
    one.BitsAllocated = one.BitsStored = bits
    one.HighBit, one.SamplesPerPixel, one.PixelRepresentation = bits - 1, 1, 0
    one.PhotometricInterpretation, one.MaximumFractionalValue = "MONOCHROME2", 255
    one.ReferencedSeriesSequence = _item(SeriesInstanceUID=series)
    one.SegmentSequence = Sequence([_segment(1, "L1"), _segment(2, "L2")])
    one.SharedFunctionalGroupsSequence = _item(
        PlaneOrientationSequence=_item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]),
        PixelMeasuresSequence=_item(PixelSpacing=[12, 12], SliceThickness=10),
    )
    one.PerFrameFunctionalGroupsSequence = Sequence(
        _item(
            PlanePositionSequence=_item(ImagePositionPatient=[-90, -90, 10.0 * n - 15]),
            SegmentIdentificationSequence=_item(ReferencedSegmentNumber=1 + n % 2),
        )[0]
        for n in range(planes)
    )
    drawn = np.zeros((planes, 16, 16), np.uint8)
    drawn[:, 4:9, 5:9] = 1 if bits == 1 else 200
    one.PixelData = (
        np.packbits(drawn, bitorder="little").tobytes() if bits == 1 else drawn.tobytes()
    )
    one["PixelData"].VR = "OB"
    return one


def _segment(number: int, name: str) -> Dataset:
    code = {"CodeValue": "66794005", "CodingSchemeDesignator": "SCT", "CodeMeaning": name}
    return _item(
        SegmentNumber=number,
        SegmentLabel=name,
        SegmentedPropertyTypeCodeSequence=_item(**code),
    )[0]
