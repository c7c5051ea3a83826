"""What a case shows: the plan of its column and body, and which donor gives which level."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from models.recipes.generator.bank import LEVEL_OF, Shape, ShapeBank
from models.recipes.generator.frame import ATLAS, AXIS
from models.recipes.generator.ideal import ideal_shape
from models.recipes.generator.options import ComposeOptions
from models.recipes.generator.placing import Placed, Spurs
from vfx_edge.phantom import DrawOptions, PhantomSpec, column_levels, random_spec
from vfx_edge.phantom.column import Column, Frame, Vertebra
from vfx_edge.phantom.levels import NUMBER_OF, size_of
from vfx_edge.phantom.noise import noise_field

Array = np.ndarray
FURTHEST = 2  # levels a donor may stand away from the level it is used for


def draw_spec(rng: np.random.Generator, options: ComposeOptions) -> PhantomSpec:
    """A random examination; the picture's grid as `options` wants it."""
    share = np.array([v[2] for v in options.views])
    first, last, _ = options.views[int(rng.choice(len(share), p=share / share.sum()))]
    spec = random_spec(
        rng,
        DrawOptions(
            pixel_mm=options.spacing_mm,
            spacing_mm=options.spacing_mm,
            fracture_rate=options.fracture_rate,
            lesion_rate=options.lesion_rate,
            metal_rate=options.screw_rate,
            transition_rate=options.transition_rate,
        ),
    )
    present = column_levels(spec.thoracic_count, spec.lumbar_count)
    ends = [present.index(v) if v in present else len(present) - 1 for v in (first, last)]
    start = int(np.clip(ends[0] + rng.integers(-1, 2), 0, len(present) - 3))
    stop = int(np.clip(ends[1] + rng.integers(-1, 2), start + 2, len(present) - 1))
    seen = present[start : stop + 1]
    bent = float(rng.uniform(*options.scoliosis_deg) * rng.choice([-1, 1]))
    spec = replace(
        spec,
        scoliosis_deg=bent if rng.random() < options.scoliosis_rate else spec.scoliosis_deg,
        levels=(seen[0], seen[-1]),
        metal=tuple(m for m in spec.metal if m in seen),
        slices=None,
        margin_mm=_margins(rng, options, seen, present),
        circular_fov=bool(rng.random() < options.circle_rate),
        fov_shift_mm=(float(rng.normal(0, 10)), float(rng.normal(0, 10))),
    )
    return replace(spec, matrix=_matrix(rng, options, len(seen)))


def _margins(
    rng: np.random.Generator, options: ComposeOptions, seen: Sequence[str], present: Sequence[str]
) -> tuple[float, float]:
    """mm above and below what is asked for; negative cuts into the vertebra at that end."""
    above, below = (float(v) for v in rng.uniform(-14, 40, 2))
    if seen[0] == present[0] and rng.random() < options.beyond_ends_rate:
        above = float(rng.uniform(0, 90))
    if seen[-1] == present[-1] and rng.random() < options.beyond_ends_rate:
        below = float(rng.uniform(20, 150))
    return above, below


def _matrix(rng: np.random.Generator, options: ComposeOptions, levels: int) -> tuple[int, int]:
    """Rows and columns: the whole body, or a field cut about the spine."""
    rows, columns = options.wide_matrix
    if rng.random() >= options.wide_field_rate:
        low, high = options.narrow_mm
        rows, columns = (int(rng.uniform(low, high) / options.spacing_mm) for _ in range(2))
    slices = levels * 25.0 / options.spacing_mm + 30
    most = int(np.sqrt(options.largest_voxels / slices))
    return min(rows, most), min(columns, most)


def choose_donors(
    rng: np.random.Generator, bank: ShapeBank, verses: list[int], same: float
) -> list[Shape]:
    """A shape for each level (head to foot): mostly of one donor in a row, of a near level."""
    chosen: list[Shape] = []
    for verse in verses:
        options = _candidates(bank, verse)
        last = [s for s, _ in options if chosen and s.source == chosen[-1].source]
        if last and rng.random() < same:
            chosen.append(last[0])
            continue
        weight = np.array([np.exp(-1.5 * far) for _, far in options])
        chosen.append(options[int(rng.choice(len(options), p=weight / weight.sum()))][0])
    return chosen


def _candidates(bank: ShapeBank, verse: int) -> list[tuple[Shape, float]]:
    """Shapes that may stand for a level, the nearest of each source, with their distance."""
    wanted = _rank(verse)
    best: dict[str, tuple[Shape, float]] = {}
    for shape in bank.shapes:
        far = abs(_rank(shape.verse) - wanted)
        special = min(verse, shape.verse) <= AXIS and verse != shape.verse
        # A facet of the chest does not stand for one of the loins.
        kind = LEVEL_OF[verse][0] != shape.level[0]
        cost = far + 1.5 * kind + 50 * special
        if shape.source not in best or cost < best[shape.source][1]:
            best[shape.source] = (shape, cost)
    ordered = sorted(best.values(), key=lambda pair: pair[1])
    near = [pair for pair in ordered if pair[1] <= FURTHEST + 1.5]
    return near or [(ideal_shape(verse), 0.0)]


def _rank(verse: int) -> float:
    return float({28: 19.5, 25: 24.5}.get(verse, verse))


def _person(column: Column, spec: PhantomSpec) -> float:
    """Girth of the plan's patient against the median adult."""
    ratios = [v.size.width_mm / size_of(v.level).width_mm for v in column.vertebrae]
    return float(np.median(ratios))


def place_all(
    rng: np.random.Generator,
    bank: ShapeBank,
    column: Column,
    spec: PhantomSpec,
    options: ComposeOptions,
) -> list[Placed]:
    """Every vertebra of the plan with a donor's shape, head to foot."""
    verses = [NUMBER_OF[v.level] for v in column.vertebrae]
    donors = choose_donors(rng, bank, verses, options.same_donor)
    if verses[:2] == [ATLAS, AXIS]:  # they turn about each other: always of one donor
        pair = bank.get(donors[1].source, ATLAS)
        donors[:2] = [pair, donors[1]] if pair else [ideal_shape(ATLAS), ideal_shape(AXIS)]
    girth = _person(column, spec)
    warp = tuple(noise_field(rng, options.warp_grain_mm) for _ in range(3))
    strength = float(rng.uniform(*options.warp_mm))
    spurs = _spurs(rng, options, spec.degeneration, len(verses))
    placed = []
    for i, (vertebra, shape) in enumerate(zip(column.vertebrae, donors, strict=True)):
        scale = _scale(rng, vertebra, shape, girth, options)
        placed.append(
            Placed(shape, vertebra, verses[i], scale, warp, strength, spurs[i])  # type: ignore[arg-type]
        )
    return _with_atlas(placed)


def _scale(
    rng: np.random.Generator, vertebra: Vertebra, shape: Shape, girth: float, o: ComposeOptions
) -> Array:
    """(left, back, up) of the plan against the donor."""
    own, plan = size_of(shape.level), size_of(vertebra.level)
    jitter = np.exp(np.clip(rng.normal(0, o.size_jitter, 3), -0.08, 0.08))
    base = girth / shape.person
    across, deep = plan.width_mm / own.width_mm, plan.depth_mm / own.depth_mm
    depth = vertebra.size.depth_mm / shape.frame.depth_mm
    tall = vertebra.size.height_mm / shape.frame.height_mm
    if shape.verse <= AXIS:
        depth = tall = base
    usual = base * plan.height_mm / own.height_mm
    up = np.clip(tall, 0.82 * usual, 1.35 * usual)
    return np.array([base * across, np.sqrt(base * deep * depth), up]) * jitter


def _spurs(
    rng: np.random.Generator, options: ComposeOptions, degeneration: float, count: int
) -> list[Spurs | None]:
    """Osteophytes of every level, more in a worn column; bridges join two levels."""
    if rng.random() >= options.osteophyte_rate * (0.4 + 1.2 * degeneration):
        return [None] * count
    low, high = options.osteophyte_mm
    field = noise_field(rng, 9.0)
    bridges = rng.random(count) < options.bridge_rate
    out: list[Spurs | None] = []
    for i in range(count):
        size = low + (high - low) * float(rng.random()) ** 2
        down = bool(bridges[i]) and 7 < i < count - 1
        up = i > 8 and bool(bridges[i - 1])
        out.append(Spurs(size, field, up, down) if i > 1 else None)
    return out


def _with_atlas(placed: list[Placed]) -> list[Placed]:
    """The atlas rides on its own donor's axis, in whose coordinates it is sampled.

    The axis itself hangs by its lower endplate, its upper one being hidden by the dens.
    """
    axis = next((p for p in placed if p.verse == AXIS), None)
    if axis is None or placed[0].verse != ATLAS:
        return placed
    frame = axis.vertebra.frame
    drop = 10.0 * axis.scale[2] - 0.5 * axis.vertebra.size.height_mm
    moved = replace(
        axis, vertebra=replace(axis.vertebra, frame=Frame(frame.world(0, 0, drop), frame.axes))
    )
    atlas = placed[0]
    offset, axes = atlas.shape.place_mm - axis.shape.place_mm, axis.shape.frame.axes
    away = (axes @ offset)[::-1] * axis.scale  # left, back, up
    at = moved.vertebra.frame.world(*(float(v) for v in away))
    atlas = replace(
        atlas,
        shape=replace(atlas.shape, frame=replace(atlas.shape.frame, axes=axes)),
        scale=axis.scale,
        vertebra=replace(atlas.vertebra, frame=Frame(at, frame.axes)),
    )
    return [atlas, moved, *placed[2:]]
