"""`vfx-edge phantom`: a synthetic spine CT as a DICOM series, with its truth beside it; or a whole
cohort of them with labels."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vfx_edge.cli import folders

if TYPE_CHECKING:
    from vfx_edge.phantom import PhantomSpec


FIELD_MM = 384.0
MOST_STUDIES = 9999
Matrix = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=64,
        max=1024,
        help=f"Rows and columns of a slice, over {FIELD_MM:.0f} mm.",
    ),
]
Fractures = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LEVEL:KIND:LOSS",
        help="A fracture: wedge, biconcave or crush, and the share of height lost, for "
        "example L1:wedge:0.35. Repeatable.",
    ),
]
Lesions = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LEVEL:KIND",
        help="A malignant lesion: lytic, sclerotic or mixed, for example T10:lytic. Repeatable.",
    ),
]
Signs = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LEVEL:KIND:SIZE",
        help="A sign by itself, of known size: convexity (mm), gas, mass, canal (ml), gap (mm2), "
        "pedicle (1: all of it), core or line (HU); with :left or :right where it has a side, for "
        "example L1:convexity:3. Repeatable.",
    ),
]
Studies = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        max=MOST_STUDIES,
        help="Write a cohort instead: so many small NIfTI CTs in VerSe's layout with outlines and "
        "a labels.csv of patients, splits, causes and readers; only --seed and --levels go with "
        "it.",
    ),
]


def phantom(
    context: typer.Context,
    out: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder for the slices and for truth.json.")
    ],
    slices: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="How many slices.", show_default="as many as the levels need"
        ),
    ] = None,
    spacing: Annotated[
        float, typer.Option(metavar="MM", help="Distance from slice to slice.")
    ] = 1.5,
    levels: Annotated[
        str,
        typer.Option(
            metavar="FIRST-LAST",
            help="Which vertebrae are in view; of a cohort, from which its studies show some.",
        ),
    ] = "T1-L5",
    matrix: Matrix = 256,
    fracture: Fractures = None,
    lesion: Lesions = None,
    sign: Signs = None,
    scoliosis: Annotated[
        float, typer.Option(metavar="DEG", help="Bend of the spine to the side, as a Cobb angle.")
    ] = 0.0,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Draws anatomy and noise; the same seed, the same CT.")
    ] = 0,
    studies: Studies = None,
) -> None:
    """Write a synthetic spine CT as a DICOM series with known truth.

    truth.json holds levels, centroids, heights, fractures and lesions of what was made.
    """
    if studies is not None:
        _write_cohort(context, out, studies, seed, levels)
        return
    folders.check_writable(out)
    before = _slices_of_a_phantom(out)
    changes = (fracture or [], lesion or [], sign or [])
    spec = _spec(slices, spacing, levels, matrix, changes, scoliosis, seed)

    from vfx_edge.files import write_text
    from vfx_edge.outputs.dicom.ct_series import write_ct_series
    from vfx_edge.phantom import make_phantom

    made = make_phantom(spec)
    write_ct_series(made.hu, made.affine_zyx_to_lps, out, seed=seed)
    truth = json.dumps(made.truth.to_json_able(), indent=2, allow_nan=False) + "\n"
    write_text(out / "truth.json", truth)
    for left_over in sorted(before)[made.hu.shape[0] :]:  # of a longer one that was here
        left_over.unlink()
    print(f"{made.hu.shape[0]} slices and truth.json: {out}")


def _write_cohort(context: typer.Context, out: Path, studies: int, seed: int, levels: str) -> None:
    """Wrong usage where an option is given that describes a single CT."""
    for name in ("slices", "spacing", "matrix", "fracture", "lesion", "sign", "scoliosis"):
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(f"--{name} describes a single CT: leave it or --studies out")
    from vfx_edge.cli.cohort import write_cohort
    from vfx_edge.phantom import parse_levels

    try:
        asked = parse_levels(levels)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    write_cohort(out, studies, seed, asked)
    print(f"{studies} studies and labels.csv: {out}")


def _slices_of_a_phantom(out: Path) -> list[Path]:
    """The slices there from an earlier phantom, which the new one replaces; wrong usage where
    files of that name are somebody else's."""
    slices = list(out.glob("CT[0-9][0-9][0-9][0-9].dcm")) if out.is_dir() else []
    if slices and not (out / "truth.json").is_file():
        raise typer.BadParameter(f"{out} holds a CT that is no phantom: name another folder")
    return slices


def _spec(
    slices: int | None,
    spacing: float,
    levels: str,
    matrix: int,
    changes: tuple[list[str], list[str], list[str]],
    scoliosis: float,
    seed: int,
) -> "PhantomSpec":
    """What to make; what it can't be is wrong usage."""
    from vfx_edge.phantom import PhantomSpec, parse_fracture, parse_lesion, parse_levels, parse_sign

    fractures, lesions, signs = changes
    try:
        return PhantomSpec(
            levels=parse_levels(levels),
            slices=slices,
            spacing_mm=spacing,
            pixel_mm=FIELD_MM / matrix,
            matrix=(matrix, matrix),
            fractures=tuple(map(parse_fracture, fractures)),
            lesions=tuple(map(parse_lesion, lesions)),
            signs=tuple(map(parse_sign, signs)),
            scoliosis_deg=scoliosis,
            seed=seed,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
