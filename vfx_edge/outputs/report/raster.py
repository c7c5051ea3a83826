"""The report's pictures as pixels: outlines, level names and height lines drawn with Pillow."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.ImageFont import FreeTypeFont

from vfx_edge.outputs.report.pictures import Picture, Ruler, Stroke, Tag
from vfx_edge.outputs.report.views import FloatArray
from vfx_edge.outputs.status import Status

Colour = tuple[int, int, int]
Spot = tuple[float, float]

# The screen colours of templates/report.css.
STATUS_COLOURS: dict[Status, Colour] = {
    Status.MALIGNANT: (0xFF, 0x6B, 0x6B),
    Status.UNCERTAIN: (0xFF, 0xC2, 0x33),
    Status.OSTEOPOROTIC: (0x7F, 0xB2, 0xFF),
    Status.SUSPECTED: (0xFF, 0xC2, 0x33),
    Status.NOT_ASSESSABLE: (0xC3, 0xCA, 0xD2),
    Status.TRUNCATED: (0x8D, 0x99, 0xA6),
    Status.UNREMARKABLE: (0x8F, 0xA3, 0x9A),
    Status.NOT_EXAMINED: (0x6F, 0x7A, 0x86),
    Status.NOT_FOUND: (0x6F, 0x7A, 0x86),
}
_QUIET_COLOURS: dict[str, Colour] = {
    "turn0": (0x58, 0xC4, 0xDD),
    "turn1": (0xC7, 0x9B, 0xF2),
    "unknown": (0xC3, 0xCA, 0xD2),
}
INK: Colour = (0xEE, 0xF1, 0xF4)
BLACK: Colour = (0x0C, 0x0E, 0x11)
MARK: Colour = (0xFF, 0xE9, 0xA8)

_FINER = 2
"""Lines are drawn this much larger and then reduced: Pillow's own have stairs."""
_SCALE_BAR_MM, _CROP_SCALE_BAR_MM = 50.0, 20.0
_UMLAUTS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "–": "-"}
)


def paint(picture: Picture, pixels_per_mm: float, crop: bool = False) -> Image.Image:
    """The picture with all that the page shows over it, RGB. crop: about one vertebra."""
    size = (round(picture.width_mm * pixels_per_mm), round(picture.height_mm * pixels_per_mm))
    large = (size[0] * _FINER, size[1] * _FINER)
    scan = Image.fromarray(picture.gray).resize(large, Image.Resampling.BICUBIC).convert("RGB")
    pen = _Pen(ImageDraw.Draw(scan), pixels_per_mm * _FINER)
    for stroke in picture.strokes:
        pen.stroke(stroke)
    for ruler in picture.rulers:
        pen.ruler(ruler, named=crop)
    for tag in picture.tags:
        pen.tag(tag)
    pen.marks(picture, crop)
    if picture.name == "sagittal":
        pen.scale_bar(picture, _CROP_SCALE_BAR_MM if crop else _SCALE_BAR_MM)
    return scan.resize(size, Image.Resampling.BOX)


class _Pen:
    """Draws in picture millimetres."""

    def __init__(self, draw: ImageDraw.ImageDraw, pixels_per_mm: float) -> None:
        self._draw = draw
        self._scale = pixels_per_mm

    def stroke(self, stroke: Stroke) -> None:
        """An outline: the ones that matter thick, arches thin."""
        loud, thin = stroke.kind.startswith("s-"), stroke.kind.endswith("arch")
        name = stroke.kind.split()[0 if loud else 1]
        colour = STATUS_COLOURS[Status(name[2:])] if loud else _QUIET_COLOURS[name]
        if thin and not loud:
            colour = _dimmed(colour)
        width = (1.4 if thin else 2.4) if loud else 1.3
        for line in outline_points(stroke.path):
            self._line([(float(x), float(y)) for x, y in line], colour, width)

    def ruler(self, ruler: Ruler, named: bool) -> None:
        """A height line, white on black."""
        ends = [(ruler.x1, ruler.y1), (ruler.x2, ruler.y2)]
        self._line(ends, BLACK, 3.4)
        self._line(ends, (255, 255, 255), 1.7)
        if named:
            self._text((ruler.x1, ruler.y1 - 1.2), ruler.name, 6.5, "ms")

    def tag(self, tag: Tag) -> None:
        """A level's name, in a box of its status' colour where the vertebra is one to look at."""
        colour = STATUS_COLOURS[tag.status]
        if tag.marked:
            box = self._at((tag.left, tag.y - 6)), self._at((tag.left + tag.width, tag.y + 6))
            self._draw.rounded_rectangle(box, 1.5 * self._scale, fill=colour, outline=BLACK)
        if tag.icon:
            ink, glyph = (BLACK, colour) if tag.marked else (colour, BLACK)
            place = self._at((tag.left + 1.3, tag.y - 3.8))
            icon(self._draw, tag.status, place, 7.6 * self._scale, ink, glyph)
        right = (tag.left + tag.width - 1.5, tag.y)
        if tag.marked:
            self._draw.text(self._at(right), tag.text, BLACK, self._font(9), "rm")
        else:
            self._text(right, tag.text, 9, "rm")

    def marks(self, picture: Picture, crop: bool) -> None:
        """The sides' letters, where the page has them."""
        wide, tall = picture.width_mm, picture.height_mm
        left, right, top, bottom = picture.marks
        across = wide * (0.5 if crop else 0.82 if picture.name == "sagittal" else 0.14)
        low = across if crop or picture.name == "coronal" else 9.0
        size = 7.0 if crop else 9.0
        self._text((2.5, picture.sides_mm), left, size, "lm", MARK)
        self._text((wide - 2.5, picture.sides_mm), right, size, "rm", MARK)
        self._text((across, 2.5), top, size, "mt", MARK)
        self._text((low, tall - 2.5), bottom, size, "ms", MARK)

    def scale_bar(self, picture: Picture, length_mm: float) -> None:
        """Its length stands beside it: a capture has no pixel spacing to measure with."""
        right, y = picture.width_mm - 4.0, picture.height_mm - 4.0
        left = right - length_mm
        bar = [(left, y - 2), (left, y), (right, y), (right, y - 2)]
        self._line(bar, BLACK, 3.4)
        self._line(bar, MARK, 1.7)
        self._text(((left + right) / 2, y - 1.5), f"{length_mm:.0f} mm", 5.0, "ms", MARK)

    def _line(self, places: list[Spot], colour: Colour, width: float) -> None:
        wide = max(1, round(width * _FINER))
        self._draw.line([self._at(place) for place in places], colour, wide, joint="curve")

    def _text(
        self, place: Spot, words: str, size_mm: float, anchor: str, colour: Colour = INK
    ) -> None:
        font = self._font(size_mm)
        rim = max(1, round(0.7 * self._scale))
        self._draw.text(
            self._at(place), words, colour, font, anchor, stroke_width=rim, stroke_fill=(0, 0, 0)
        )

    def _font(self, size_mm: float) -> FreeTypeFont:
        return font(round(size_mm * self._scale))

    def _at(self, place: Spot) -> Spot:
        return place[0] * self._scale, place[1] * self._scale


def outline_points(path: str) -> list[FloatArray]:
    """The closed lines of an outline's path data (`contours.outline`), (n, 2) picture mm each."""
    lines = []
    for piece in path.split("M")[1:]:
        start, moves = piece.removesuffix("z").split("l")
        steps = np.array([*start.split(), *moves.split()], dtype=np.float64).reshape(-1, 2)
        line = steps.cumsum(axis=0)
        lines.append(np.concatenate([line, line[:1]]))
    return lines


def icon(
    draw: ImageDraw.ImageDraw, status: Status, place: Spot, size: float, ink: Colour, glyph: Colour
) -> None:
    """The status' sign in a square of `size` pixels: the shape tells it without its colour."""
    left, top = place
    unit = size / 20

    def at(*xy: float) -> list[Spot]:
        return [(left + x * unit, top + y * unit) for x, y in zip(xy[::2], xy[1::2], strict=True)]

    thick = max(1, round(2.4 * unit))
    middle = at(10, 10.5)[0]
    match status:
        case Status.MALIGNANT:
            draw.polygon(at(10, 1, 19.5, 18.5, 0.5, 18.5), fill=ink)
            draw.text(at(10, 12.2)[0], "!", glyph, font(round(13 * unit)), "mm")
        case Status.UNCERTAIN:
            draw.polygon(
                at(10, 0.2, 18.7, 5.1, 18.7, 14.9, 10, 19.8, 1.3, 14.9, 1.3, 5.1), fill=ink
            )
            draw.text(middle, "?", glyph, font(round(14 * unit)), "mm")
        case Status.OSTEOPOROTIC:
            draw.rectangle(at(1.5, 1.5, 18.5, 18.5), fill=ink)
            draw.line(at(10, 4, 10, 14), glyph, thick)
            draw.line(at(5.8, 10, 10, 14.4, 14.2, 10), glyph, thick)
        case Status.SUSPECTED:
            draw.line(at(10, 2, 18, 10, 10, 18, 2, 10, 10, 2, 18, 10), ink, thick)
        case Status.NOT_ASSESSABLE:
            draw.ellipse(at(2, 2, 18, 18), outline=ink, width=thick)
            draw.line(at(4.5, 15.5, 15.5, 4.5), ink, thick)
        case Status.TRUNCATED:
            draw.line(at(4, 17, 4, 5, 16, 5, 16, 17), ink, thick)
        case Status.UNREMARKABLE:
            draw.line(at(3, 11, 7.8, 16, 17, 5), ink, thick)
        case _:
            draw.ellipse(at(7, 7, 13, 13), outline=ink, width=thick)


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


def _dimmed(colour: Colour) -> Colour:
    red, green, blue = (round(part * 0.55) for part in colour)
    return red, green, blue
