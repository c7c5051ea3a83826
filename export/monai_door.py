"""`export monai`: a bundle of MONAI, whose metadata fills in what a manifest asks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from export import by_manifest, network, options
from export.by_manifest import Made, Steps

if TYPE_CHECKING:
    from export.template import Facts
    from vfx_edge.manifest import NetworkSpec

NAME = "monai"
EXAMPLES = """\b
Examples:
  python -m export monai spine_bundle --template mine.toml --role segmenter    then fill it in
  python -m export monai spine_bundle --manifest mine.toml -o models/mine
  python -m export monai spine_bundle.zip --template mine.toml --role classifier
"""


def command(
    bundle: Annotated[
        Path,
        typer.Argument(
            metavar="BUNDLE",
            help="The bundle's folder, a zip of it, or the model.ts of MONAI's ckpt_export alone.",
            readable=False,
        ),
    ],
    out: by_manifest.Out = None,
    manifest: by_manifest.Manifest = None,
    template: by_manifest.Template = None,
    role: by_manifest.Role = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Make a model set of a MONAI bundle: models/model.ts and configs/metadata.json.

    First with --template, which writes a manifest to fill in, with what the bundle says of itself;
    then with --manifest and -o. Nothing of configs/inference.json is executed.
    """
    steps = Steps(bundle, out, manifest, template, role, overwrite)
    by_manifest.take(NAME, steps, lambda: _facts(bundle), lambda spec: _made(bundle, spec))


def _facts(path: Path) -> "Facts":
    from export.monai_bundle import facts_of, read_bundle
    from export.programs import open_program

    bundle = read_bundle(path)
    open_program(path, bundle.script)  # what is refused, is refused before a person fills in
    return facts_of(bundle)


def _made(path: Path, spec: "NetworkSpec") -> Made:
    from export.monai_bundle import read_bundle
    from export.programs import open_program

    return network.made(open_program(path, read_bundle(path).script), spec)
