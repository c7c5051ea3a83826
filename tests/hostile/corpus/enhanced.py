"""Enhanced multi-frame files: groups missing, counts that lie, phases, concatenations."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedCTImageStorage, generate_uid

from tests.hostile.corpus.case import (
    BASE,
    MIDDLE,
    ONE_BROKEN,
    SLICES,
    Base,
    Case,
    Make,
    Outcome,
    Reads,
    Refused,
    write,
)
from tests.hostile.corpus.codes import CODECS, codes_of, held, plane_of

BROKEN = Refused("damaged|described|can't be used|truncated|frames|can't be decoded")
Change = Callable[[Dataset], None]
PER_FRAME, SHARED = "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"
MOVED = (
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope"),
    *("RescaleIntercept", "RescaleType", "SliceThickness", "ImageType", "ConvolutionKernel"),
)


def _item(**values: object) -> Sequence:
    one = Dataset()
    for keyword, value in values.items():
        setattr(one, keyword, value)
    return Sequence([one])


def enhanced(slices: list[Dataset], order: list[int] | None = None) -> Dataset:
    """The slices as frames of one file, jumbled."""
    order = order or [(index * 7) % len(slices) for index in range(len(slices))]
    one = Dataset(slices[0])
    one.file_meta = slices[0].file_meta
    one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    one.NumberOfFrames = len(order)
    frames = []
    for place, index in enumerate(order):
        frame = Dataset()
        frame.PlanePositionSequence = _item(ImagePositionPatient=slices[index].ImagePositionPatient)
        frame.FrameContentSequence = _item(
            DimensionIndexValues=[1, index + 1], InStackPositionNumber=index + 1, StackID="1",
            FrameAcquisitionNumber=1, TemporalPositionIndex=1, FrameReferenceDateTime="20260101",
        )  # fmt: skip
        frames.append(frame)
        assert place < len(order)
    shared = Dataset()
    shared.PlaneOrientationSequence = _item(
        ImageOrientationPatient=slices[0].ImageOrientationPatient
    )
    shared.PixelMeasuresSequence = _item(PixelSpacing=slices[0].PixelSpacing, SliceThickness=6)
    shared.PixelValueTransformationSequence = _item(
        RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU"
    )
    shared.CTImageFrameTypeSequence = _item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])
    one.PixelData = b"".join(slices[index].PixelData for index in order)
    one["PixelData"].VR = "OW"
    for keyword in MOVED:
        del one[keyword]
    setattr(one, PER_FRAME, Sequence(frames))
    setattr(one, SHARED, Sequence([shared]))
    return one


def _file(change: Change = lambda one: None) -> Make:
    def make(base: Base, folder: Path) -> Path:
        one = enhanced(base.slices())
        change(one)
        return write(folder / "in", [one])

    return make


def _drop(group: str, keyword: str) -> Change:
    """Without a macro, shared or of each frame."""

    def change(one: Dataset) -> None:
        for item in getattr(one, group):
            if keyword in item:
                del item[keyword]

    return change


def _spoil(group: str, sequence: str, keyword: str, value: object) -> Change:
    """Another value in a macro, everywhere."""

    def change(one: Dataset) -> None:
        for item in getattr(one, group):
            setattr(item[sequence].value[0], keyword, value)

    return change


def _set(keyword: str, value: object) -> Change:
    return lambda one: setattr(one, keyword, value)


def _one_frame_without_position(one: Dataset) -> None:
    for frame in getattr(one, PER_FRAME):
        if frame.FrameContentSequence[0].InStackPositionNumber == 4:
            del frame["PlanePositionSequence"]


def _fewer_groups(one: Dataset) -> None:
    setattr(one, PER_FRAME, Sequence(list(getattr(one, PER_FRAME))[:-3]))


def _half_of_the_pixels(one: Dataset) -> None:
    one.PixelData = one.PixelData[: len(one.PixelData) // 2]


def _rescale_a_frame(one: Dataset) -> None:
    """Each frame its own intercept; the numbers are such that HU stay the same."""
    del getattr(one, SHARED)[0]["PixelValueTransformationSequence"]
    planes = np.frombuffer(one.PixelData, "<u2").reshape(SLICES, one.Rows, one.Columns).copy()
    for index, frame in enumerate(getattr(one, PER_FRAME)):
        planes[index] += index % 5
        frame.PixelValueTransformationSequence = _item(
            RescaleSlope=1, RescaleIntercept=-1024 - index % 5, RescaleType="HU"
        )
    one.PixelData = planes.tobytes()


def _rescale_on_top(one: Dataset) -> None:
    del getattr(one, SHARED)[0]["PixelValueTransformationSequence"]
    one.RescaleSlope, one.RescaleIntercept, one.RescaleType = "1", "-1024", "HU"


def compressed(codec: str, spoil: Callable[[list[bytes]], list[bytes]] = lambda c: c) -> Make:
    """The same, each frame a code stream."""

    def make(base: Base, folder: Path) -> Path:
        one = enhanced(base.slices())
        codes = codes_of(base, codec)
        order = [(index * 7) % SLICES for index in range(SLICES)]
        held(one, encapsulate(spoil([codes[index] for index in order])))
        one.file_meta.TransferSyntaxUID = CODECS[codec]
        return write(folder / "in", [one])

    return make


def _phases(base: Base, folder: Path) -> Path:
    """Two phases in one file, in any order."""
    slices = base.slices()
    other = base.slices()
    for one in other:
        one.PixelData = np.roll(plane_of(one), (4, 4), (0, 1)).tobytes()
    both = slices + other
    order = [(index * 7) % len(both) for index in range(len(both))]
    one = enhanced(both, order)
    for frame, index in zip(getattr(one, PER_FRAME), order, strict=True):
        content = frame.FrameContentSequence[0]
        content.TemporalPositionIndex = content.FrameAcquisitionNumber = 1 + (index >= SLICES)
        content.InStackPositionNumber = index % SLICES + 1
        content.DimensionIndexValues = [1 + (index >= SLICES), index % SLICES + 1]
    return write(folder / "in", [one])


def _phases_in_files(base: Base, folder: Path) -> Path:
    """As one vendor writes them: a file a phase, the place's number counted on."""
    files = []
    for phase in range(2):
        slices = base.slices()
        for one in slices:
            one.PixelData = np.roll(plane_of(one), (4 * phase, 4 * phase), (0, 1)).tobytes()
        one = enhanced(slices)
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        for frame in getattr(one, PER_FRAME):
            content = frame.FrameContentSequence[0]
            content.TemporalPositionIndex = phase + 1
            content.InStackPositionNumber += SLICES * phase
        files.append(one)
    return write(folder / "in", files)


def _concatenation(*parts: int) -> Make:
    """Three files of one image; those named are there."""

    def make(base: Base, folder: Path) -> Path:
        uid, files = generate_uid(), []
        for number, some in enumerate((slice(0, 8), slice(8, 16), slice(16, SLICES))):
            slices = base.slices()[some]
            one = enhanced(slices, list(range(len(slices))))
            one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            one.ConcatenationUID, one.InConcatenationNumber = uid, number + 1
            one.InConcatenationTotalNumber, one.ConcatenationFrameOffsetNumber = 3, 8 * number
            for frame in getattr(one, PER_FRAME):
                content = frame.FrameContentSequence[0]
                content.InStackPositionNumber += 8 * number
                content.DimensionIndexValues = [1, content.InStackPositionNumber]
            if number in parts:
                files.append(one)
        return write(folder / "in", files)

    return make


def _two_angles(one: Dataset) -> None:
    """The lowest third lies at another angle, disc by disc."""
    for frame in getattr(one, PER_FRAME):
        if frame.FrameContentSequence[0].InStackPositionNumber <= 8:
            frame.PlaneOrientationSequence = _item(
                ImageOrientationPatient=[1, 0, 0, 0, "0.9563", "0.2924"]
            )


POSITION, TURN = "PlanePositionSequence", "PlaneOrientationSequence"
MEASURES, VALUES = "PixelMeasuresSequence", "PixelValueTransformationSequence"
CHANGES: dict[str, tuple[Change, tuple[Outcome, ...]]] = {
    "as it should be": (lambda one: None, (BASE,)),
    "rescale of each frame": (_rescale_a_frame, (BASE,)),
    "rescale at the top": (_rescale_on_top, (BASE,)),
    "more frames stated": (_set("NumberOfFrames", 30), (BROKEN,)),
    "fewer frames stated": (_set("NumberOfFrames", 20), (BROKEN,)),
    "no frames stated": (_set("NumberOfFrames", 0), (BROKEN,)),
    "2 billion frames stated": (_set("NumberOfFrames", 2_000_000_000), (BROKEN,)),
    "fewer groups": (_fewer_groups, (BROKEN,)),
    "no groups": (lambda one: delattr(one, PER_FRAME), (BROKEN,)),
    "groups without items": (_set(PER_FRAME, Sequence([])), (BROKEN,)),
    "no shared groups": (lambda one: delattr(one, SHARED), (Refused("spacing|rescale"),)),
    "no positions": (_drop(PER_FRAME, POSITION), (Refused("position"),)),
    "a frame without position": (
        _one_frame_without_position, (Reads(warns="left out", but_for=(3,)),),
    ),
    "no orientation": (_drop(SHARED, TURN), (Refused("orientation"),)),
    "no spacing": (_drop(SHARED, MEASURES), (Refused("spacing"),)),
    "no rescale": (_drop(SHARED, VALUES), (Refused("rescale"),)),
    "spacing of zero": (
        _spoil(SHARED, MEASURES, "PixelSpacing", [0, 0]), (Refused("spacing"),),
    ),
    "slope of zero": (_spoil(SHARED, VALUES, "RescaleSlope", 0), (Refused("slope"),)),
    "values that are no HU": (
        _spoil(SHARED, VALUES, "RescaleType", "Z_EFF"), (Refused("Hounsfield"),),
    ),
    "all frames at one place": (
        _spoil(PER_FRAME, POSITION, "ImagePositionPatient", [0, 0, 0]),
        (Refused("same place|told apart"),),
    ),
    "a frame type of a MIP": (
        _spoil(SHARED, "CTImageFrameTypeSequence", "FrameType", ["DERIVED", "PRIMARY", "MIP"]),
        (Refused("projection"),),
    ),
    "an empty macro": (
        lambda one: setattr(getattr(one, SHARED)[0], MEASURES, Sequence([])),
        (Refused("spacing"),),
    ),
    "half of the pixels": (_half_of_the_pixels, (Refused("truncated"),)),
    "a third at another angle": (_two_angles, (Reads(like=None, warns="left out|."),)),
}  # fmt: skip


def cases() -> Iterator[Case]:
    for name, (change, outcomes) in CHANGES.items():
        yield _case(name, _file(change), *outcomes)
    for codec in CODECS:
        yield _case(f"frames in {codec}", compressed(codec), BASE)
        place = [(index * 7) % SLICES for index in range(SLICES)].index(MIDDLE)
        spoilt = compressed(codec, _zeroed(place))
        yield _case(f"one frame of zeros in {codec}", spoilt, ONE_BROKEN)
        yield _case(f"fewer streams than frames in {codec}", compressed(codec, _few), BROKEN)
        yield _case(f"every frame cut in {codec}", compressed(codec, _halved), BROKEN)
    phase = (Reads(like="phase"), Refused("told apart|phases"))
    yield _case("two phases", _phases, *phase)
    yield _case("two phases in two files", _phases_in_files, *phase)
    yield _case("a concatenation", _concatenation(0, 1, 2), BASE)
    yield _case("a concatenation without its middle", _concatenation(0, 2),
                Reads(like=None, warns="missing|less of|left out|gap"), Refused("."))  # fmt: skip


def _zeroed(at: int) -> Callable[[list[bytes]], list[bytes]]:
    return lambda codes: [bytes(len(c)) if i == at else c for i, c in enumerate(codes)]


def _few(codes: list[bytes]) -> list[bytes]:
    return codes[:10]


def _halved(codes: list[bytes]) -> list[bytes]:
    return [code[: len(code) // 2] for code in codes]


def _case(name: str, make: Make, *outcomes: Outcome) -> Case:
    return Case("enhanced", name, make, outcomes)
