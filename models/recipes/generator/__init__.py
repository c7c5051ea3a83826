"""Composites: real vertebra shapes in synthetic bodies, painted and scanned, from a seed."""

from models.recipes.generator.bank import Shape, ShapeBank, load_bank
from models.recipes.generator.compose import compose
from models.recipes.generator.options import ComposeOptions
from models.recipes.generator.write import write_composites

__all__ = ["ComposeOptions", "Shape", "ShapeBank", "compose", "load_bank", "write_composites"]
