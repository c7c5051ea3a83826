"""`python -m export`: trained PyTorch networks to model sets, proofs and engines.

Heavy libraries are imported inside the commands, so that --help answers without them.
"""

import os
import sys
from contextlib import suppress

import typer

from export import (
    engine,
    monai_door,
    network,
    nnunet,
    onnx_door,
    parity,
    quantize,
    repository,
    resnet,
    totalsegmentator,
    tum,
)
from vfx_edge.cli import answer

EXAMPLES = """\b
Examples:
  python -m export tum model.tar -o models/published
  python -m export nnunet Dataset291/nnUNetTrainer__nnUNetPlans__3d_fullres -o models/mine
  python -m export resnet slices.pth --template mine.toml --role classifier
  python -m export network net.pt2 --template mine.toml --role classifier
  python -m export monai spine_bundle --template mine.toml --role segmenter
  python -m export onnx net.onnx --template mine.toml --role segmenter
  python -m export parity models/published --checkpoint model.tar --ct /path/to/dicom
  python -m export quantize models/published -o models/published-int8
  python -m export engine models/published --sm 75 --sm 86
  python -m export repository models/published -o /srv/models

\b
Exit codes: 0 done; 2 wrong usage; 3 the CT, 4 a model or checkpoint, 5 a backend can't be
used; 6 nothing could be written; 7 (parity, quantize)
answers differ more than the manifest allows; 1 a bug.
"""

app = typer.Typer(
    name="export",
    help="Turns trained PyTorch networks into model sets for vfx-edge, and proves them equal.",
    epilog=EXAMPLES,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
DOORS = (tum, nnunet, totalsegmentator, resnet, network, monai_door, onnx_door)
for module in (*DOORS, parity, quantize, engine, repository):
    name = getattr(module, "NAME", module.__name__.rpartition(".")[2])
    app.command(name, epilog=module.EXAMPLES)(module.command)


if __name__ == "__main__":
    code = answer(app, "python -m export")
    with suppress(OSError):
        sys.stdout.flush()
    os._exit(code)  # a network that never answers is not waited for
