"""The report's pictures and signs as pixels: resvg draws the page's own SVG. And lines of text."""

import io
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, ImageFont
from PIL.ImageFont import FreeTypeFont
from resvg_py import svg_to_bytes

from vfx_edge.outputs.report import drawing
from vfx_edge.outputs.report.pictures import Picture

_BOLDER = 1.2
"""Strokes are that much wider than on the page: a capture is looked at from further away."""
_UMLAUTS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "–": "-"}
)


def paint(picture: Picture, pixels_per_mm: float) -> Image.Image:
    """The picture with all that the page shows over it, RGB."""
    size = (round(picture.width_mm * pixels_per_mm), round(picture.height_mm * pixels_per_mm))
    scan = Image.fromarray(picture.gray).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    over = _drawn(drawing.overlay(picture, _BOLDER / pixels_per_mm), size)
    scan.paste(over, mask=over)
    return scan


def sign(status: str, pixels: int, ink: str, glyph: str) -> Image.Image:
    """A status' sign, RGBA; it is transparent around its shape."""
    return _drawn(drawing.sign(status, ink, glyph), (pixels, pixels))


def _drawn(svg: str, size: tuple[int, int]) -> Image.Image:
    file = _font_file()
    data = svg_to_bytes(
        svg,
        width=size[0],
        height=size[1],
        font_files=[file] if file else None,
        skip_system_fonts=file is not None,
        font_family="DejaVu Sans" if file else None,
    )
    return Image.open(io.BytesIO(data)).resize(size)


@cache
def font(pixels: int) -> FreeTypeFont:
    """A bold sans serif of that size."""
    path = _font_file()
    # Pillow's own is one with FreeType, which its wheels bring along.
    return ImageFont.truetype(path, pixels) if path else ImageFont.load_default(pixels)  # type: ignore[return-value]


def writable(words: str) -> str:
    """The words as the font can write them: Pillow's own has no umlauts."""
    return words if _font_file() else words.translate(_UMLAUTS)


@cache
def _font_file() -> str | None:
    """DejaVu Sans, which comes with matplotlib: looked up, not imported."""
    spec = find_spec("matplotlib")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(folder, "mpl-data", "fonts", "ttf", "DejaVuSans-Bold.ttf")
        if file.is_file():
            return str(file)
    return None


def wrapped(words: str, letters: FreeTypeFont, width: float) -> list[str]:
    """The words in lines of at most `width` pixels."""
    lines: list[str] = []
    for word in writable(words).split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and letters.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
