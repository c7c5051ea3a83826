"""`export onnx`: a network that is an ONNX file already, of any maker."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from export import by_manifest, options
from export.by_manifest import Made, Steps

if TYPE_CHECKING:
    from export.template import Facts
    from vfx_edge.manifest import NetworkSpec

NAME = "onnx"
EXAMPLES = """\b
Examples:
  python -m export onnx net.onnx --template mine.toml --role classifier    then fill it in
  python -m export onnx net.onnx --manifest mine.toml -o models/mine
"""


def command(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="An ONNX file; weights may lie beside it.", readable=False
        ),
    ],
    out: by_manifest.Out = None,
    manifest: by_manifest.Manifest = None,
    template: by_manifest.Template = None,
    role: by_manifest.Role = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Make a model set of an ONNX file: opset 7 to 24, quantised or not.

    First with --template, which writes a manifest to fill in; then with --manifest and -o. The
    network is asked before and after it was made fit to be run here, and has to answer the same.
    """
    steps = Steps(file, out, manifest, template, role, overwrite)
    by_manifest.take(NAME, steps, lambda: _facts(file), lambda spec: _made(file, spec))


def _facts(file: Path) -> "Facts":
    from export.onnx_fitting import facts_of
    from export.onnx_reading import read_network

    return facts_of(read_network(file), file)


def _made(file: Path, spec: "NetworkSpec") -> Made:
    from export.onnx_fitting import fitted
    from export.onnx_reading import read_network

    return fitted(read_network(file), spec, file)
