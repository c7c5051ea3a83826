"""`export network`: any network that PyTorch saved whole, with a manifest that says what it is."""

import re
import tempfile
import tomllib
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from export import options
from vfx_edge.backends.errors import one_line
from vfx_edge.errors import ModelError, OutputError

if TYPE_CHECKING:
    import torch

    from export.programs import Program
    from vfx_edge.manifest import NetworkSpec

EXAMPLES = """\b
Examples:
  python -m export network net.pt2 --template mine.toml        then fill it in
  python -m export network net.pt2 --manifest mine.toml -o models/mine
  python -m export network scripted.pt --manifest mine.toml -o models/mine
"""
STEM = "network"
CARD = """# Model card: {name}
Exported from `{file}` by `python -m export network`.
"""
TEMPLATE = """# What vfx-edge has to know of a network. Fill in what stands in <…>.
# Every key is explained in vfx_edge/manifest/spec.py; models/default/manifest.toml is an example.
schema = "vfx-edge/model/1"
name = "<letters, digits, . _ ->"
version = "1"
base = "default"                       # every role not filled here comes from there
intended_use = "research"              # or demonstration, clinical
licence = "<licence of the weights>"
training_data = "<what it was trained on>"
summary = "<one sentence>"

[[network]]
roles = ["<locator, finder, labeller, segmenter, detector or classifier>"]
name = "<what people call it>"

[network.input]
name = "image"
channels = {channels}
patch_zyx = [{patch}]                  # after orientation and transpose
spacing_mm = "<mm>"
orientation = "SPL"                    # what each axis grows towards
transpose = [0, 1, 2]
hu_clip = [-1000.0, 1500.0]            # input = (clip(hu) + hu_offset) / hu_scale
hu_offset = 0.0
hu_scale = 1.0
padding_hu = -1024.0                   # or "mean": the crop's own
interpolation = "linear"               # or cubic
mask = "none"                          # classifier: or vertebra, box

[network.output]
name = "answer"
classes = ["<first>", "<second>"]      # in the order of the output's channels
activation = "softmax"                 # or sigmoid; none where the network answers probabilities

[network.batch]
min = {batch_min}
opt = {batch_opt}
max = {batch_max}

[network.precision]
allowed = ["fp32", "bf16", "fp16"]     # `export parity` shows which of them keep the answers
max_probability_difference = 0.05
min_dice = 0.99

[network.parameters]                   # of a classifier; docs/export.md has those of every role
threshold_malignant = 0.85
threshold_osteoporotic = 0.95
levels = ["T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5"]
centre = "middle"                      # or voxel: the centroid lies on voxel n // 2 of each axis
smooth = 1                             # 0: no averaging where the scan is finer than spacing_mm
mask_margin_mm = 0.0                   # about the vertebra, or the box about all of them
"""


class Unfilled(ModelError):
    """The manifest is not one of a single network."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}: correct it, or make a new one with --template")


class Misfit(ModelError):
    """Network and manifest disagree."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"{path} does not fit its manifest ({what}): correct the manifest or the network"
        )


def command(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A .pt2 file of torch.export.save, or a module of torch.jit.save.",
            readable=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="The model set's folder."),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            "--manifest", metavar="FILE", help="What the network is and how it is fed.",
            readable=False,
        ),
    ] = None,
    template: Annotated[
        Path | None,
        typer.Option(
            "--template", metavar="FILE",
            help="Write a manifest to fill in, with what is known of the network.",
        ),
    ] = None,
    overwrite: options.Overwrite = False,
) -> None:  # fmt: skip
    """Make a model set of any network that PyTorch saved whole.

    First with --template, which writes a manifest to fill in; then with --manifest and -o. A file
    that would execute code, or do more than arithmetic, is refused.
    """
    if template is not None and manifest is None and out is None:
        _write_template(file, template, overwrite)
    elif template is None and manifest is not None and out is not None:
        _write_set(file, manifest, out, overwrite)
    else:
        raise typer.BadParameter("give either --template FILE, or --manifest FILE and -o DIR")


def _write_template(file: Path, template: Path, overwrite: bool) -> None:
    from export.programs import open_program

    if template.exists() and not overwrite:
        raise typer.BadParameter(f"{template} is there already: add --overwrite to replace it")
    shape = open_program(file).input_shape or (None,) * 5
    batch, channels, *patch = (0 if n is None else n for n in shape)
    text = TEMPLATE.format(
        channels=channels or '"<channels>"',
        patch=", ".join(str(n or '"<voxels>"') for n in (*patch, 0, 0, 0)[:3]),
        batch_min=batch or 1,
        batch_opt=batch or 4,
        batch_max=batch or 8,
    )
    try:
        template.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise OutputError(
            f"{template} can't be written ({error.strerror}): choose another place"
        ) from error
    typer.echo(f"{template}: fill it in, then export with --manifest {template} -o DIR")


def _write_set(file: Path, manifest: Path, out: Path, overwrite: bool) -> None:
    from export import manifests
    from export.programs import open_program
    from export.to_onnx import compare, halved
    from vfx_edge.manifest.writing import check_target

    check_target(out, overwrite=overwrite)
    spec = spec_of(manifest)
    program = open_program(file)
    example = checked_example(program, spec)
    onnx = program.to_onnx(example, spec.input.name, spec.output.name)
    compare(program.ask, onnx, example, file.name)
    files = {f"{STEM}.onnx": onnx, f"{STEM}.fp16.onnx": halved(onnx, file.name)}
    text = with_files(manifest.read_text(encoding="utf-8"), files)
    card = CARD.format(name=spec.set_name, file=file.name)
    files |= {"manifest.toml": text.encode(), "card.md": card.encode()}
    manifests.write_folder(out, files)
    typer.echo(manifests.report_of(out))


def spec_of(manifest: Path) -> "NetworkSpec":
    """The one network that the manifest describes; its errors name the user's own file."""
    from vfx_edge.manifest import ManifestInvalid, parse_manifest

    try:
        text = manifest.read_text(encoding="utf-8")
        found = tomllib.loads(text).get("network")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Unfilled(manifest, f"it can't be read ({error})") from error
    if left := re.search(r'(?m)^(\w+)\s*=\s*\[?\s*"<[^>"]+>"', text):
        raise Unfilled(manifest, f"'{left[1]}' still holds the template's words")
    if (count := len(found) if isinstance(found, list) else 0) != 1:
        raise Unfilled(manifest, f"it holds {count} [[network]] tables, and one is exported")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "manifest.toml"
        copy.write_text(with_files(text, {"empty.onnx": b""}), encoding="utf-8")
        (Path(folder) / "empty.onnx").touch()
        try:
            return parse_manifest(copy).networks[0]
        except ManifestInvalid as error:
            what = str(error).removeprefix(f"{copy}: ").partition(": correct the manifest")[0]
            raise Unfilled(manifest, what) from error


def with_files(manifest: str, files: dict[str, bytes]) -> str:
    """The manifest's text with these ONNX files named in its network, the FP32 one first."""
    text = re.sub(r"(?m)^(file|sha256)(_fp16)?\s*=.*\n", "", manifest)
    lines = ["[[network]]"]
    for suffix, (name, data) in zip(("", "_fp16"), files.items(), strict=False):
        lines += [f'file{suffix} = "{name}"', f'sha256{suffix} = "{sha256(data).hexdigest()}"']
    return re.sub(r"(?m)^\[\[network\]\].*$", "\n".join(lines), text, count=1)


def checked_example(program: "Program", spec: "NetworkSpec") -> "torch.Tensor":
    """A batch that the network was seen to take and to answer as the manifest says; or Misfit."""
    import torch

    wanted = (spec.input.channels, *spec.input.patch_zyx)
    batch, *rest = program.input_shape or (None,)
    for have, want in zip(rest, wanted, strict=False):
        if have is not None and have != want:
            raise Misfit(program.path, f"it takes {_by(rest)}, the manifest says {_by(wanted)}")
    size = (batch or max(2, spec.batch.min), *wanted)
    example = torch.randn(size, generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad():
            answer = program.ask(example)
    except (RuntimeError, ValueError, TypeError, AssertionError, torch.jit.Error) as error:
        what = f"it does not take {_by(size)}: {one_line(error)}"
        raise Misfit(program.path, what) from error
    if not isinstance(answer, torch.Tensor):
        raise Misfit(program.path, f"it answers a {type(answer).__name__}, not one tensor")
    classes, patch = len(spec.output.classes), tuple(spec.input.patch_zyx)
    if tuple(answer.shape) not in ((size[0], classes), (size[0], classes, *patch)):
        what = (
            f"it answers {_by(answer.shape)} to {_by(size)}, the manifest names {classes} classes"
        )
        raise Misfit(program.path, what)
    return example


def _by(shape: "tuple[int | None, ...] | list[int | None] | torch.Size") -> str:
    return "x".join("?" if n is None else str(n) for n in shape)
