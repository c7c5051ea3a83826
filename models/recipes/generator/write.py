"""Composites written as training cases."""

from collections.abc import Iterable
from pathlib import Path

from models.recipes.cases import write_missing
from models.recipes.generator.bank import ShapeBank
from models.recipes.generator.compose import compose
from models.recipes.generator.options import ComposeOptions


def write_composites(
    folder: Path, seeds: Iterable[int], bank: ShapeBank, options: ComposeOptions | None = None
) -> None:
    """compose_<seed>.npz for each seed; complete files only, present ones kept."""
    write_missing(folder, "compose", seeds, lambda seed: compose(seed, bank, options))
