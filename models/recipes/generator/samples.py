"""A contact sheet: composites mixed with real CT, the same window, small captions."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage as ndi

from models.recipes.cases import load
from vfx_edge.image.grids import grid_covering, sample
from vfx_edge.inputs import load_scan

Array = np.ndarray
REAL = (
    "ct_thoracolumbar_4mm_dicom",
    "ct_chest_1mm/ct_1p5mm.nii.gz",
    "ct_chest_2p5mm_contrast/ct_1p5mm.nii.gz",
    "ct_chest_2p5mm_lung_kernel_dicom",
    "ct_thoracic_1mm_dicom",
    "ct_head_to_thorax_4mm_dicom",
    "ct_abdomen_3mm_labelled/ct.nii.gz",
)
PANEL, CAPTION = 300, 14  # pixels
WINDOW_HU = (-250.0, 800.0)
GRID_MM = 1.5
HALF_MM = 165.0  # how far a panel reaches from the spine
PLANES = ("sagittal", "axial", "sagittal", "coronal")


@dataclass(frozen=True, eq=False)
class Panel:
    """One slice (rows, columns) of HU, upright, with its caption."""

    hu: Array
    caption: str


def _spine_at(hu: Array) -> tuple[int, int]:
    """(y, x) about the middle of the column: where bone stands over the whole height."""
    tissue = (hu > -200).mean(0)
    bone = (hu > 140).mean(0) * (ndi.gaussian_filter(tissue, 15.0) > 0.5)
    middle = float(np.average(np.arange(hu.shape[2]), weights=tissue.sum(0) + 1e-6))
    low, high = (int(np.clip(middle + d / GRID_MM, 0, hu.shape[2])) for d in (-24.0, 24.0))
    column = ndi.gaussian_filter(bone, 6.0)[:, low:high]
    y, x = np.unravel_index(int(np.argmax(column)), column.shape)
    return int(y), int(x) + low


def _slice(hu: Array, plane: str, rng: np.random.Generator) -> Array:
    z = int(rng.uniform(0.25, 0.75) * hu.shape[0])
    part = hu[max(0, z - 40) : z + 40]
    y, x = _spine_at(part)
    reach = int(HALF_MM / GRID_MM)
    rows, columns = (slice(max(0, n - reach), n + reach) for n in (z, x))
    deep = slice(max(0, y - reach), y + reach)
    if plane == "axial":
        return hu[z, deep, columns]
    flat = hu[rows, deep, x] if plane == "sagittal" else hu[rows, y, columns]
    return flat[::-1]


def _picture(panel: Panel) -> Image.Image:
    low, high = WINDOW_HU
    grey = np.clip((panel.hu.astype(float) - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    image = Image.fromarray(grey)
    scale = min(PANEL / image.width, (PANEL - CAPTION) / image.height)
    size = (round(image.width * scale), round(image.height * scale))
    out = Image.new("L", (PANEL, PANEL), 0)
    left, top = (PANEL - size[0]) // 2, (PANEL - CAPTION - size[1]) // 2
    out.paste(image.resize(size, Image.Resampling.BICUBIC), (left, top))
    ImageDraw.Draw(out).text((4, PANEL - CAPTION + 1), panel.caption, fill=150)
    return out


def _real(data: Path, count: int, rng: np.random.Generator) -> Iterator[Panel]:
    """Slices of the real CTs that lie in `data`, as many as wanted."""
    volumes = [data / name for name in REAL if (data / name).exists()]
    for i in range(count if volumes else 0):
        path = volumes[i % len(volumes)]
        image = load_scan(path).image
        hu = sample(image, grid_covering(image, GRID_MM))
        plane = PLANES[(i + 2 * (i // len(volumes))) % len(PLANES)]
        name = path.relative_to(data).parts[0].removesuffix("_dicom")
        yield Panel(_slice(hu, plane, rng), f"real: {name}")


def _synthetic(cases: list[Path], rng: np.random.Generator) -> Iterator[Panel]:
    for i, path in enumerate(cases):
        hu = load(path).case.hu
        assert hu is not None
        yield Panel(_slice(hu, PLANES[i % len(PLANES)], rng), f"synthetic: seed {path.stem[8:]}")


def contact_sheet(cases: list[Path], data: Path | None, out: Path, columns: int = 6) -> None:
    """A PNG of one slice of each case, mixed with half as many of real CT from `data`."""
    rng = np.random.default_rng(1)
    panels = list(_synthetic(cases, rng))
    if data is not None:
        panels += list(_real(data, len(cases) // 2, rng))
    order = rng.permutation(len(panels))
    rows = -(-len(panels) // columns)
    sheet = Image.new("L", (columns * PANEL, rows * PANEL), 0)
    for place, i in enumerate(order):
        at = (place % columns * PANEL, place // columns * PANEL)
        sheet.paste(_picture(panels[i]), at)
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out)
