"""What all DICOM results share: who made them, their place in the study, and the writing."""

import datetime
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vfx_edge.errors import OutputError
from vfx_edge.files import replacing
from vfx_edge.outputs.kinds import kind_of
from vfx_edge.quiet import quiet
from vfx_edge.study import DicomSource, RunInfo

PRODUCT = "vfx-edge"
NO_SERIAL = "none (software)"
"""Device Serial Number is required of a device; a program has none."""
UTF_8 = "ISO_IR 192"
_FIRST_SERIES, _CLEAR_OF_SOURCE = 9900, 100
_SERIES = {
    "sr": (1, "vfx-edge SR"),
    "seg": (2, "vfx-edge SEG"),
    "sc": (3, "vfx-edge SC"),
    "kos": (4, "vfx-edge key images"),
}
"""Number after the last of the source, and description."""
_REFUSALS = (
    *(ArithmeticError, AttributeError, AssertionError, LookupError, NotImplementedError),
    *(TypeError, ValueError, struct.error),
)


class Unplaceable(ValueError):
    """Our own reason why an object can't be made; it may be shown."""


class DicomRefused(OutputError):
    """The source's header holds what can't be put into a valid object."""

    def __init__(self, path: Path, why: str) -> None:
        self.kind = kind_of(path)
        super().__init__(
            f"{path} can't be made from this series, its headers hold something that DICOM does "
            f"not allow ({why}): leave {self.kind} out of --outputs."
        )


def series_number(source: DicomSource, kind: str) -> int:
    """Of the series of results of a kind (sr, seg, sc, kos): last in the viewer's list."""
    try:
        number = int(source.first.get("SeriesNumber") or 0)
    except ValueError:  # a text, which is kept as it was written
        number = 0
    stated = number if 0 < number < 2**30 else 0
    return max(_FIRST_SERIES, stated + _CLEAR_OF_SOURCE) + _SERIES[kind][0]


def equipment(run: RunInfo) -> dict[str, Any]:
    """The General Equipment module (PS3.3 C.7.5.1, C.7.5.2), as highdicom's keyword arguments."""
    return {
        "manufacturer": PRODUCT,
        "manufacturer_model_name": PRODUCT,
        "software_versions": run.version,
        "device_serial_number": NO_SERIAL,
    }


def identity(source: DicomSource, run: RunInfo, kind: str) -> dict[str, Any]:
    """A new series of one object, as highdicom's keyword arguments: new UIDs at every call."""
    from pydicom.uid import generate_uid

    when = started(run)
    return {
        "series_instance_uid": generate_uid(),
        "series_number": series_number(source, kind),
        "sop_instance_uid": generate_uid(),
        "instance_number": 1,
        "series_description": _SERIES[kind][1],
        "series_date": when.date(),
        "series_time": when.time(),
        "content_date": when.date(),
        "content_time": when.time(),
        "specific_character_set": UTF_8,
        **equipment(run),
    }


def started(run: RunInfo) -> datetime.datetime:
    """When the run began, by this machine's clock: DICOM's dates and times are local ones."""
    return datetime.datetime.fromisoformat(run.started_at).astimezone()


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Whatever highdicom or pydicom raise about a header becomes DicomRefused; nothing of what they
    say escapes."""
    from vfx_edge.outputs.dicom.standard import spare_tables

    spare_tables()
    with quiet():
        try:
            yield
        except _REFUSALS as error:
            # what libraries say may quote the header
            why = str(error) if isinstance(error, Unplaceable) else type(error).__name__
            raise DicomRefused(path, why) from error


def save(dataset: Any, path: Path) -> Path:
    """The object as a DICOM file (PS3.10), whole or not at all."""
    with replacing(path) as temporary, refusing(path):
        dataset.save_as(temporary, enforce_file_format=True)
    return path
