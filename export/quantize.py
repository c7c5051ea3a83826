"""`export quantize`: a model set's networks in INT8 as well, as far as that keeps their answers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from export.options import Out, Overwrite
from export.parity import FAILED, Ct, Models, NothingCompared, Role, own_networks
from export.quantising import Quantised
from vfx_edge.cli.progress import ShareProgress
from vfx_edge.manifest import ModelManifest, NetworkSpec

if TYPE_CHECKING:
    from onnx import ModelProto

    from vfx_edge.bench.networks import Figures
    from vfx_edge.bench.patches import Ask, Floats

EXAMPLES = """\b
Examples:
  python -m export quantize models/mine -o models/mine-int8
  python -m export quantize models/mine -o models/mine --overwrite --role segmenter
  python -m export quantize models/mine -o models/mine-int8 --ct dicom/ --ct scan.nii.gz

\b
Exit codes: 0 every network has its INT8 file; 7 one has none, as its answers would change.
"""
GATHERED = 0.3
"""Share of the bar until all crops are cut."""
CALIBRATION, JUDGES = 0, 1
"""Seeds of the phantom that scales are chosen on, and of the one that answers are compared on."""
FEW = 2
"""Crops on which a convolution's harm is measured."""
ENDS = 2
"""The first convolution and the last stay in floats at once: on a phantom, the segmenter's masks
then moved half as far, and it was as fast."""
Step = Callable[[str, float], None]


def command(
    models: Models,
    out: Out,
    role: Role = None,
    ct: Ct = None,
    crops: Annotated[
        int, typer.Option("--crops", metavar="N", min=1, help="At most so many for each purpose.")
    ] = 8,
    overwrite: Overwrite = False,
) -> None:
    """Write a model set's networks in INT8 beside those in FP32.

    Scales are chosen on crops that the chain cuts from a phantom. Answers in 8 bits are compared on
    those of another phantom and of CTs that are given. The first and the last convolution stay in
    floats, and where answers differ by more than the manifest allows, those that do most harm, at
    most half of all. The manifest says how far apart they are, and `auto` goes by it; a network
    that half of them is not enough for has no INT8 file. What was borrowed from the base is left
    out. Needs OpenVINO, which computes in 8 bits.
    """
    from export import quantised_set
    from vfx_edge.backends import default_backends
    from vfx_edge.backends.choose import unavailable
    from vfx_edge.manifest import load_model_set
    from vfx_edge.manifest.writing import check_target

    check_target(out, overwrite=overwrite)
    manifest = load_model_set(models)
    specs = own_networks(manifest, tuple(role or ()))
    if not (state := default_backends()["openvino"].availability()).available:
        raise unavailable(state)
    with ShareProgress() as progress:
        patches = gather(manifest, specs, tuple(ct or ()), crops, progress.step)
        made = []
        each = (1 - GATHERED) / len(specs)
        for i, spec in enumerate(specs):
            progress.step(f"{spec.name}: scales", GATHERED + each * i)
            made.append(quantise(spec, *patches[spec.name]))
    quantised_set.write(manifest, out, made)
    for one in made:
        typer.echo(quantised_set.line_of(one))
    if not all(one.holds for one in made):
        raise typer.Exit(FAILED)


def gather(
    manifest: ModelManifest,
    specs: Sequence[NetworkSpec],
    cts: Sequence[Path],
    count: int,
    on_step: Step = lambda *_: None,
) -> "dict[str, tuple[Floats, dict[str, Floats]]]":
    """Network name -> patches for its scales, and those to compare answers on, by their source.
    NothingCompared where the chain asks a network nothing."""
    from vfx_edge.bench.patches import chain_patches, phantom_scan
    from vfx_edge.inputs import load_scan

    on_step("Crops of a phantom", 0.0)
    scales = chain_patches([phantom_scan(CALIBRATION)], manifest, specs, count)
    on_step("Crops of another one", GATHERED / 3)
    judges = {"a phantom": chain_patches([phantom_scan(JUDGES)], manifest, specs, count)}
    if cts:
        on_step("Crops of the CTs", 2 * GATHERED / 3)
        scans = [load_scan(path) for path in cts]
        judges["CT"] = chain_patches(scans, manifest, specs, count)
    for spec in specs:
        if spec.name not in scales or not any(spec.name in one for one in judges.values()):
            raise NothingCompared(spec.name, "leave it out, by --role for the others")
    return {
        spec.name: (
            scales[spec.name],
            {name: one[spec.name] for name, one in judges.items() if spec.name in one},
        )
        for spec in specs
    }


def quantise(spec: NetworkSpec, scales: "Floats", judges: "dict[str, Floats]") -> Quantised:
    """The network with as few convolutions in floats as keep its answers: the first and the last,
    then 4, 8 … with those that do most harm; where half of them are not enough, that one."""
    import numpy as np

    from export.quantising import convolutions, in_part, opened, quantised

    plain = opened(spec, spec.read())
    made = quantised(plain, spec.input.name, scales)
    names = convolutions(plain)
    patches = np.concatenate(list(judges.values()))
    wanted = float_answers(spec, patches)
    half = len(names) // 2
    order = [names[0], names[-1]] if half >= ENDS else []
    count = len(order)
    while True:
        onnx = in_part(made, plain, order[:count])
        figures = _figures(spec, onnx, patches, wanted)
        source = " and ".join(judges)
        found = Quantised(spec, onnx, count, len(names), source, figures)
        if found.holds or count == half:
            return found
        if len(order) < len(names):
            order += _by_harm(spec, made, plain, scales[:FEW], but=order)
        count = min(2 * count or 1, half)


def _by_harm(
    spec: NetworkSpec,
    made: "ModelProto",
    plain: "ModelProto",
    patches: "Floats",
    but: Sequence[str],
) -> list[str]:
    """Names of the convolutions but these, first the one that changes the answers most where it
    alone is in 8 bits, by the worst class: a small one counts as a large one. Asked in floats with
    the same roundings, which needs no process for each."""
    import numpy as np

    from export.quantising import convolutions, in_part

    names = convolutions(plain)
    wanted = float_answers(spec, patches)
    harm = {}
    for name in set(names).difference(but):
        alone = in_part(made, plain, [other for other in names if other != name])
        gap = _asker(as_int8(spec), alone)(patches) - wanted
        axes = (0, *range(2, gap.ndim))
        harm[name] = float((np.square(gap).sum(axes) / (np.square(wanted).sum(axes) + 1e-6)).max())
    return sorted(harm, key=lambda name: (-harm[name], names.index(name)))


def as_int8(spec: NetworkSpec) -> NetworkSpec:
    """The network as one whose own file is quantised."""
    from msgspec.structs import replace

    stored = replace(spec.precision, stored="int8", allowed=("fp32",))
    return replace(spec, precision=stored, int8=None)


def float_answers(spec: NetworkSpec, patches: "Floats") -> "Floats":
    """Of the FP32 file, in FP32: probabilities."""
    return _asker(spec, spec.read())(patches)


def _asker(spec: NetworkSpec, onnx: bytes) -> "Ask":
    from vfx_edge.backends import Budget, default_backends

    return default_backends()["openvino"].open(spec, onnx, "fp32", Budget()).probabilities


def _figures(spec: NetworkSpec, onnx: bytes, patches: "Floats", wanted: "Floats") -> "Figures":
    """Answers in 8 bits against those wanted. EightBitsRefused."""
    from vfx_edge.backends import class_probabilities
    from vfx_edge.backends.openvino_trial import Trial, answers
    from vfx_edge.bench.networks import figures_of

    trial = Trial(as_int8(spec), onnx, spec.batch.min, None)
    raw, _ = answers(trial, patches)
    return figures_of(class_probabilities(raw, spec), wanted, spec)
