"""What it costs to find the studies of an archive, at the first start of a batch and at later ones:
for docs/scale.md."""

import multiprocessing
import os
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import results
from benchmarks.results import Kept
from models.recipes.scorecard.render import replaced
from models.recipes.scorecard.table import table
from vfx_edge.batch.studies import studies_of
from vfx_edge.crew.records import key_of
from vfx_edge.inputs.study_uid import study_uid
from vfx_edge.memory import peak_rss_mib
from vfx_edge.outputs.dicom.ct_series import write_ct_series
from vfx_edge.phantom import PhantomSpec, make_phantom

NAME = "looking"
SECTION = "looking"
PAGE = results.ROOT / "docs" / "scale.md"
ARCHIVE = (50_000, 600)
"""Studies, and images of each: what the page reckons with."""
SHORT = 6000
"""Bytes of an image that are kept: only its header is read."""


def command(
    studies: Annotated[int, typer.Option(min=1, help="Folders of a study each.")] = 200,
    images: Annotated[int, typer.Option(min=1, help="Of each study.")] = 500,
    print_only: Annotated[bool, typer.Option("--print", help="Do not keep the figures.")] = False,
) -> None:
    """Processor seconds and memory to find studies among many files, with and without what an
    earlier start has kept."""
    kept = Kept(NAME, {"studies": studies, "images": images})
    rows = kept.point("rows", measured, studies, images)
    if print_only:
        typer.echo(text_of({"rows": rows}))
        return
    kept.finish({"rows": rows})
    render()


def measured(studies: int, images: int) -> list[dict[str, Any]]:
    """A row each: first start, later start, later start with all inputs compared."""
    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder, "data"), Path(folder, "out")
        make_archive(data, studies, images)
        asked = [("first", False), ("later", False), ("compared", True)]
        return [{"start": name, **_apart(data, out, keys)} for name, keys in asked]


def make_archive(data: Path, studies: int, images: int) -> None:
    """Images of a few bytes beyond their header; those of a study are one file of many names."""
    (made := data.parent / "made").mkdir()
    phantom = make_phantom(PhantomSpec(levels=("L1", "L2"), pixel_mm=8.0, matrix=(48, 48)))
    write_ct_series(phantom.hu, phantom.affine_zyx_to_lps, made, seed=1)
    image_file = min(made.glob("*.dcm"))
    head, uid = image_file.read_bytes(), str(study_uid(image_file))
    for study in range(studies):
        folder = data / f"{study:06d}"
        folder.mkdir(parents=True)
        own = f"{uid[:-6]}{study:06d}".encode("ascii")
        first = folder / "000000.dcm"
        first.write_bytes(head.replace(uid.encode("ascii"), own)[:SHORT])
        for number in range(1, images):
            os.link(first, folder / f"{number:06d}.dcm")


def _apart(data: Path, out: Path, keys: bool) -> dict[str, Any]:
    """In a process of its own, whose memory is nobody else's."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return dict(pool.apply(_look, (data, out, keys)))


def _look(data: Path, out: Path, keys: bool) -> dict[str, Any]:
    before, began = peak_rss_mib(), time.process_time()
    found = studies_of(data, out)
    for study in found.studies if keys else ():
        key_of(study.inputs, {})
    return {
        "cpu_s": time.process_time() - began,
        "mib": max(0.0, peak_rss_mib() - before),
        "studies": len(found.studies),
        "files": sum(len(files) for _, _, files in os.walk(data)),
    }


def render() -> None:
    """Writes docs/scale.md from what was measured."""
    if (found := results.read(NAME)) is not None:
        text = text_of(found["figures"])
        PAGE.write_text(replaced(PAGE.read_text("utf-8"), SECTION, text), encoding="utf-8")


_STARTS = {
    "first": "first start: every header is read",
    "later": "later start: names, sizes and times",
    "compared": "later start, what was done compared with its files",
}


def text_of(figures: dict[str, Any]) -> str:
    """Everything between the markers."""
    studies, images = ARCHIVE
    rows = [
        (
            _STARTS[row["start"]],
            f"{row['files']:,} of {row['studies']:,} studies",
            f"{row['files'] / row['cpu_s']:,.0f}",
            f"{row['mib']:.0f} MiB",
            f"{studies * images * row['cpu_s'] / row['files'] / 60:.0f} min",
        )
        for row in figures["rows"]
    ]
    head = ("", "files", "files a second of one core", "memory more", f"of {studies:,} × {images}")
    return (
        f"{table(head, rows)}\n\nProcessor seconds, with the files in the system's page cache "
        "(`python -m benchmarks looking`): a disk's or a network drive's own time for each file "
        "comes on top, at the first start for a read, later for its name and time alone.\n"
    )
