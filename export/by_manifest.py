"""The two steps of every door that needs a person's word: a template out, a filled manifest in."""

import re
import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vfx_edge.errors import ModelError
from vfx_edge.files import write_text

if TYPE_CHECKING:
    from export.template import Facts
    from vfx_edge.manifest import NetworkSpec

STEM = "network"
CARD = """# Model card: {name}
Exported from `{file}` by `python -m export {command}`.
{notes}"""

Out = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="DIR", help="The model set's folder.")
]
Manifest = Annotated[
    Path | None,
    typer.Option(
        "--manifest",
        metavar="FILE",
        help="What the network is and how it is fed.",
        readable=False,
    ),
]
Template = Annotated[
    Path | None,
    typer.Option(
        "--template",
        metavar="FILE",
        help="Write a manifest to fill in, with what is known of the network.",
    ),
]
Role = Annotated[
    str | None,
    typer.Option(
        "--role",
        metavar="ROLE",
        help="Of the template: locator, finder, labeller, segmenter, detector, classifier, or "
        "joint for a labeller and segmenter in one.",
    ),
]


@dataclass(frozen=True)
class Steps:
    """What the person gave."""

    file: Path
    out: Path | None
    manifest: Path | None
    template: Path | None
    role: str | None
    overwrite: bool

    @property
    def name(self) -> str:
        """Of the file, as TOML and UTF-8 can hold it."""
        return "".join(c if c.isprintable() else " " for c in self.file.name)


@dataclass(frozen=True)
class Made:
    """A network in ONNX that answers as its file did, and what people have to know of it."""

    onnx: bytes
    notes: tuple[str, ...] = ()


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


def take(
    command: str,
    steps: Steps,
    facts: "Callable[[], Facts]",
    make: "Callable[[NetworkSpec], Made]",
) -> None:
    """One of the two steps. command: the door's name. facts, make: asked where they are needed.

    make raises Misfit, or a ModelError leaf of its own, before anything is written.
    """
    if steps.template and not (steps.manifest or steps.out):
        _write_template(command, steps, steps.template, facts)
    elif steps.manifest and steps.out and not (steps.template or steps.role):
        _write_set(command, steps, steps.manifest, steps.out, make)
    else:
        raise typer.BadParameter(
            "give either --template FILE and --role ROLE, or --manifest FILE and -o DIR"
        )


def _write_template(command: str, steps: Steps, target: Path, facts: "Callable[[], Facts]") -> None:
    from export.template import template

    if target.exists() and not steps.overwrite:
        raise typer.BadParameter(f"{target} is there already: add --overwrite to replace it")
    write_text(target, template(steps.name, steps.role, facts()), "--template")
    typer.echo(
        f"{target}: fill it in, then python -m export {command} {steps.file} "
        f"--manifest {target} -o DIR"
    )


def _write_set(
    command: str,
    steps: Steps,
    manifest: Path,
    out: Path,
    make: "Callable[[NetworkSpec], Made]",
) -> None:
    from export import manifests
    from export.finishing import ExportFailed, halved
    from vfx_edge.manifest.writing import check_target

    check_target(out, overwrite=steps.overwrite)
    spec = spec_of(manifest)
    made = make(spec)
    files = {f"{STEM}.onnx": made.onnx}
    if spec.precision.stored == "fp32" and "fp16" in spec.precision.allowed:
        try:
            files[f"{STEM}.fp16.onnx"] = halved(made.onnx, steps.file.name)
        except ExportFailed as error:
            what = 'it has no FP16 form, which "allowed" in [network.precision] names'
            raise Misfit(steps.file, what) from error
    text = with_files(manifest.read_text(encoding="utf-8-sig"), files)
    notes = "".join(f"- {note}\n" for note in made.notes)
    card = CARD.format(name=spec.set_name, file=steps.name, command=command, notes=notes)
    files |= {"manifest.toml": text.encode(), "card.md": card.encode()}
    manifests.write_folder(out, files)
    typer.echo("\n".join((*made.notes, manifests.report_of(out, steps.file))))


def spec_of(manifest: Path) -> "NetworkSpec":
    """The one network that the manifest describes; its errors name the user's own file."""
    from vfx_edge.manifest import ManifestInvalid, parse_manifest

    try:
        text = manifest.read_text(encoding="utf-8-sig")
        found = tomllib.loads(text).get("network")
    except (OSError, ValueError, RecursionError) as error:  # no UTF-8, no TOML, nested too deep
        raise Unfilled(manifest, f"it can't be read ({error})") from error
    if left := re.search(r'(?m)^"?([^"=#\n]+?)"?\s*=.*"<[^>"]*>"', text):
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


def by(shape: "tuple[int | None, ...] | list[int | None]") -> str:
    """A shape for people: 2x1x64x64x64, ? for what is free."""
    return "x".join("?" if n is None else str(n) for n in shape)
