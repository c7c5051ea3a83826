"""A model set on disk from networks just exported: manifest.toml, ONNX files, card.md.

The folder appears whole or not at all, and is read back by the very code that will use it.
"""

import hashlib
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from vfx_edge.backends.errors import BudgetTooSmall, reason_of
from vfx_edge.backends.proof import prove, refusals
from vfx_edge.errors import ModelError, VfxError
from vfx_edge.files import replacing_folder, write_text
from vfx_edge.manifest import ManifestInvalid, load_model_set, parse_manifest, sha256_of
from vfx_edge.manifest.files import MANIFEST
from vfx_edge.manifest.writing import check_target, manifest_text

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, eq=False)
class NewNetwork:
    """One [[network]]: its table without file names and hashes, and its files' bytes."""

    stem: str
    """Of the file names: `<stem>.onnx`, `<stem>.fp16.onnx`, `<stem>.int8.onnx`."""
    table: Mapping[str, Any]
    onnx: bytes
    onnx_fp16: bytes | None = None
    onnx_int8: bytes | None = None

    def files(self) -> dict[str, bytes]:
        """File name -> bytes."""
        forms = {"": self.onnx, ".fp16": self.onnx_fp16, ".int8": self.onnx_int8}
        return {f"{self.stem}{form}.onnx": data for form, data in forms.items() if data}

    def entry(self) -> dict[str, Any]:
        """The whole table, files and hashes in their places."""
        named: dict[str, Any] = {}
        for name, data in self.files().items():
            form = name.removeprefix(self.stem).removesuffix(".onnx").replace(".", "_")
            digest = hashlib.sha256(data).hexdigest()
            named |= {f"file{form}": name, f"sha256{form}": digest}
        first = {key: self.table[key] for key in ("roles", "name")}
        return {**first, **named, **{k: v for k, v in self.table.items() if k not in first}}


def write_set(
    folder: Path,
    head: Mapping[str, Any],
    networks: Sequence[NewNetwork],
    card: str,
    *,
    overwrite: bool = False,
) -> None:
    """Write the model set and check it as `vfx-edge run` will: manifest, hashes, answers.

    head: version, base, intended_use, licence, training_data, summary; the set is named after its
    folder. Raises SetNotWritten, and the manifest's own errors when something does not fit.
    """
    check_target(folder, overwrite=overwrite)
    text = manifest_text(
        {"name": folder.resolve().name, **head}, [network.entry() for network in networks]
    )
    files = {MANIFEST: text.encode(), "card.md": card.encode()}
    for network in networks:
        files |= network.files()
    write_folder(folder, files)


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """The files in a folder, in place of an older set's, only when they proved to be a model set.

    Whatever lies there and belongs to no set stays: somebody's notes, or the file that is exported.
    A kill half way leaves files of both sets, which the manifest's hashes refuse. OutputError
    leaves.
    """
    is_new, partial, replaced = not folder.exists(), folder, _networks_of(folder)
    try:
        with replacing_folder(folder) as partial:
            for name, data in files.items():
                (partial / name).write_bytes(data)
            check_set(partial)
            _list_classes(partial)
    except VfxError as error:
        error.args = (str(error).replace(str(partial), str(folder)),)  # the place people know
        raise
    finally:
        if is_new:
            with suppress(OSError):  # not empty, or never made
                folder.rmdir()
    for path in replaced:
        if path.name not in files:
            path.unlink(missing_ok=True)
    shutil.rmtree(folder / "engines", ignore_errors=True)  # of the networks that were replaced


def _networks_of(folder: Path) -> set[Path]:
    """The ONNX files of the set that lies there; none where it names them no longer."""
    try:
        own = parse_manifest(folder / MANIFEST).networks
    except ModelError:
        return set()
    return {path for one in own for path in one.paths.values()}


def _list_classes(folder: Path) -> None:
    """Into the card: what the networks' own names of classes mean, and which nobody reads."""
    own = load_model_set(folder).own
    lines = [f"- **{spec.name}:** {spec.class_words}" for spec in own if spec.class_words]
    if lines:
        with (folder / "card.md").open("a", encoding="utf-8") as card:
            card.write("\n".join(["", "## Classes", *lines, ""]))


def check_set(folder: Path) -> None:
    """Manifest and files of the set's own networks, each asked once on each backend that is here.

    What this machine is too small for is not proven; that, and which backend refuses, is said on
    standard error. Raises ModelError leaves.
    """
    for spec in load_model_set(folder).own:
        try:
            refused = refusals(spec, prove(spec))
        except BudgetTooSmall as error:
            typer.echo(f"not proven here: {error}", err=True)
        else:
            for proof in refused:
                why = reason_of(proof.problem)
                typer.echo(f"'{spec.name}' is refused by {proof.backend}: {why}", err=True)


def new_network(module: "nn.Module", stem: str, table: Mapping[str, Any]) -> NewNetwork:
    """The table's network in FP32 and FP16 ONNX, the former compared with PyTorch.

    Raises ExportFailed when it can't be written or answers otherwise than it did in PyTorch.
    """
    import torch

    from export.finishing import halved
    from export.to_onnx import compare, onnx_bytes

    given = table["input"]
    patch = given["patch_zyx"][1:] if "slices" in table else given["patch_zyx"]
    size = (2, given["channels"], *patch)
    example = torch.randn(size, generator=torch.Generator().manual_seed(0))
    onnx = onnx_bytes(module, example, given["name"], table["output"]["name"])
    compare(module, onnx, example[:1], stem)  # one: half the memory, and the batch must be free
    return NewNetwork(stem, table, onnx, halved(onnx, stem))


def report_of(folder: Path, source: object) -> str:
    """What was written, in two lines for the terminal. source: what parity compares it with."""
    place, origin = shlex.quote(str(folder)), shlex.quote(str(source))
    sizes = [f"{p.name} {p.stat().st_size / 2**20:.1f} MB" for p in sorted(folder.glob("*.onnx"))]
    return (
        f"{folder}: {', '.join(sizes)}\n"
        f"next: python -m export parity {place} --checkpoint {origin}; "
        f"vfx-edge run CT --model {place}"
    )


def update_hashes(manifest_path: Path) -> None:
    """Rewrite every `sha256` of a manifest from the files it names, leaving all else as it is.

    For the recipes that make models. Each [[network]] needs a `file` and a `sha256` line.
    """
    text = manifest_path.read_text(encoding="utf-8")
    head, *blocks = re.split(r"(?m)^(?=\[\[network\]\])", text)
    for i, block in enumerate(blocks):
        if not re.search(r'(?m)^file\s*=\s*"', block):
            raise ManifestInvalid(manifest_path, f"[[network]] number {i + 1} has no file")
        for suffix in ("", "_fp16", "_int8"):
            blocks[i] = _with_hash(blocks[i], manifest_path.parent, suffix)
    write_text(manifest_path, head + "".join(blocks))


def _with_hash(block: str, folder: Path, suffix: str) -> str:
    match = re.search(rf'(?m)^file{suffix}\s*=\s*"([^"]+)"', block)
    if match is None:
        return block
    line = f'sha256{suffix} = "{sha256_of(folder / match[1])}"'
    changed, count = re.subn(rf'(?m)^sha256{suffix}\s*=\s*"[^"]*"', line, block, count=1)
    return changed if count else block.replace(match[0], f"{match[0]}\n{line}", 1)
