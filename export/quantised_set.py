"""A model set with the INT8 files that were made for it: manifest, card and files."""

import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from export.manifests import write_folder
from export.parity_report import with_section
from export.quantising import Quantised
from vfx_edge.manifest import ModelManifest
from vfx_edge.manifest.files import MANIFEST
from vfx_edge.manifest.writing import toml_value

BEGIN, END = "<!-- int8:begin -->", "<!-- int8:end -->"
BESIDE = ("scorecard.json",)
"""What else goes along with a set: figures of the FP32 files, which stay."""
COLUMNS = "network", "in floats", "crops", "max", "mean", "Dice", "tiers changed", "MB", "FP32 MB"

NOT_ENOUGH = "all, as half of the convolutions are not enough"


def write(source: ModelManifest, out: Path, made: Sequence[Quantised]) -> None:
    """The set's own networks, and those of these INT8 files that hold, in a folder that appears
    whole or not at all. A network whose file does not hold has none, the card says why; INT8 files
    of the source that are not made anew go along. SetNotWritten, ModelError leaves."""
    files = {p.name: p.read_bytes() for p in map(source.directory.joinpath, BESIDE) if p.is_file()}
    for spec in source.own:
        files |= {spec.paths[key].name: data for key, data in spec.read_all().items()}
    text = (source.directory / MANIFEST).read_text(encoding="utf-8")
    name = toml_value(out.resolve().name)
    text = re.sub(r"(?m)^name\s*=.*$", lambda _: f"name = {name}", text, count=1)
    for one in made:
        if old := one.spec.paths.get("file_int8"):
            files.pop(old.name, None)
        if one.holds:
            files[one.file] = one.onnx
        text = with_int8(text, one)
    card = source.card.read_text(encoding="utf-8") if source.card.is_file() else ""
    card = re.sub(r"\n+## Classes\n(- .*\n?)*\Z", "\n", card)  # written anew with the folder
    files |= {MANIFEST: text.encode(), "card.md": with_section(card, section(made)).encode()}
    write_folder(out, files)


def with_int8(manifest: str, made: Quantised) -> str:
    """The manifest's text with this INT8 file in its network's table, or none where it does not
    hold; all else as it was."""
    head, *blocks = re.split(r"(?m)^(?=\[\[network\]\])", manifest)
    file = re.escape(toml_value(made.spec.file))
    for i, block in enumerate(blocks):
        if re.search(rf"(?m)^file\s*=\s*{file}", block):
            bare = _without(block)
            blocks[i] = _block(bare, made) if made.holds else bare
    return head + "".join(blocks)


def _without(block: str) -> str:
    """The network's table without any word of INT8."""
    block = re.sub(r"(?m)^(file|sha256)_int8\s*=.*\n", "", block)
    block = re.sub(r"(?m)^\[network\.int8\]\n(?:.*\n)*?(?=\n*(?:\[|\Z))", "", block)
    return re.sub(r'(?m)^(allowed\s*=\s*\[.*?),\s*"int8"', r"\1", block)


def _block(block: str, made: Quantised) -> str:
    digest = sha256(made.onnx).hexdigest()
    named = f'file_int8 = {toml_value(made.file)}\nsha256_int8 = "{digest}"\n'
    block = re.sub(r"(?m)^(sha256\s*=.*\n(?:(?:file|sha256)_fp16\s*=.*\n)*)", rf"\1{named}", block)
    if found := re.search(r"(?ms)^allowed\s*=\s*\[(.*?)\]", block):
        if '"int8"' not in found[1]:
            allowed = f'allowed = [{found[1].rstrip().rstrip(",")}, "int8"]'
            block = block.replace(found[0], allowed, 1)
    elif "[network.precision]\n" in block:
        allowed = '[network.precision]\nallowed = ["fp32", "int8"]\n'
        block = block.replace("[network.precision]\n", allowed, 1)
    else:
        block = f'{block.rstrip()}\n[network.precision]\nallowed = ["fp32", "int8"]\n'
    lines = [f"{key} = {toml_value(value)}" for key, value in measured(made).items()]
    end = "\n" if block.endswith("\n\n") else ""
    return "\n".join([block.rstrip(), "[network.int8]", *lines, end])


def measured(made: Quantised) -> dict[str, Any]:
    """[network.int8], by `MeasuredSpec`; differences rounded up."""
    figures = made.figures
    facts: dict[str, Any] = {
        "crops": figures.crops,
        "source": made.source,
        "max_difference": round(figures.max_difference + 5e-5, 4),
        "mean_difference": round(figures.mean_difference + 5e-6, 5),
    }
    if figures.min_dice is not None:
        facts["min_dice"] = round(figures.min_dice - 5e-5, 4)
    if figures.tier_changes is not None:
        facts["tier_changes"] = figures.tier_changes
    return facts


def section(made: Sequence[Quantised]) -> str:
    """The card's part about INT8."""
    rows = [" | ".join(_cells(one)) for one in made]
    source = made[0].source if made else "nothing"
    lines = [
        BEGIN,
        "## INT8",
        f"Answers of the INT8 files in 8 bits against those of the FP32 files, on crops of {source}"
        ". Scales are of crops of another phantom. Written by `python -m export quantize`.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{' --- |' * len(COLUMNS)}",
        *(f"| {row} |" for row in rows),
        END,
    ]
    return "\n".join(lines) + "\n"


def _cells(one: Quantised) -> tuple[str, ...]:
    f = one.figures
    return (
        one.spec.name,
        f"{one.floats} of {one.convolutions} convolutions" if one.holds else NOT_ENOUGH,
        str(f.crops),
        f"{f.max_difference:.3f}",
        f"{f.mean_difference:.1e}",
        "–" if f.min_dice is None else f"{f.min_dice:.4f}",
        "–" if f.tier_changes is None else str(f.tier_changes),
        f"{len(one.onnx) / 2**20:.1f}" if one.holds else "–",
        f"{one.spec.path.stat().st_size / 2**20:.1f}",
    )


def line_of(one: Quantised) -> str:
    """One network, for the terminal."""
    said = ", ".join(
        f"{name} {cell}" for name, cell in zip(COLUMNS[1:], _cells(one)[1:], strict=True)
    )
    if one.holds:
        return f"{one.spec.name}: {said}"
    allowed = one.spec.precision
    return (
        f"{one.spec.name}: no INT8 file, its answers would change by more than the manifest "
        f"allows ({allowed.max_probability_difference:g}, Dice {allowed.min_dice:g}): {said}"
    )
