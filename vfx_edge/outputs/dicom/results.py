"""Every DICOM result of a study, in the order in which they refer to each other.

What writes them is imported here only when it is wanted: highdicom belongs to an extra, and takes
its time to load.
"""

from collections.abc import Collection
from pathlib import Path

from vfx_edge.study import Analysis, DicomSource

_FILES = {"sr": ("sr.dcm", "kos.dcm"), "seg": ("seg.dcm",), "sc": ("sc/*.dcm",)}


def dicom_results(folder: Path, kinds: Collection[str] = ()) -> list[Path]:
    """Those of `kinds` (none named: all) that lie in a folder of results, in a lasting order."""
    patterns = [name for kind in kinds or _FILES for name in _FILES.get(kind, ())]
    return sorted(path for pattern in patterns for path in folder.glob(pattern))


def write_dicom_results(
    analysis: Analysis,
    source: DicomSource,
    folder: Path,
    kinds: Collection[str],
    language: str = "en",
    previous_report: Path | None = None,
) -> tuple[Path, ...]:
    """Writes those of `kinds` that are DICOM into `folder`: seg.dcm where there is a vertebra;
    sr.dcm and, where a fracture is suspected, kos.dcm; sc/*.dcm. Returns what was written.

    previous_report: the sr.dcm that the new one takes the place of.
    OutputError when one can't be; those before it are complete.
    """
    written: list[Path] = []
    segmentation = None
    if "seg" in kinds and analysis.masks:
        from vfx_edge.outputs.dicom.seg import write_seg

        segmentation = write_seg(analysis, source, folder / "seg.dcm")
        written.append(segmentation)
    if "sr" in kinds:
        from vfx_edge.outputs.dicom.kos import write_kos
        from vfx_edge.outputs.dicom.sr import write_sr

        report = folder / "sr.dcm"
        written.append(write_sr(analysis, source, report, language, segmentation, previous_report))
        selection = write_kos(analysis, source, folder / "kos.dcm", language)
        written += [selection] if selection else []
    if "sc" in kinds:
        from vfx_edge.outputs.dicom.sc import write_sc

        written += write_sc(analysis, source, folder / "sc", language)
    return tuple(written)
