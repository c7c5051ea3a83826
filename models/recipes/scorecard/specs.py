"""Phantoms that no training has seen: one condition at a time, from seeds kept for scores."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from vfx_edge.phantom import DrawOptions, FractureSpec, PhantomSpec, column_levels, random_spec

FIRST_SEED = 90_000  # trainings draw from lower ones
SEEDS_PER_CONDITION = 100
FIELD_MM = (256, 320)
VIEWS = (("T1", "L5"), ("C6", "L2"), ("T8", "L5"))
TRUNK_VIEWS = (("T4", "L5"), ("T6", "L5"), ("T3", "L3"))
B70_NOISE_HU = 60.0  # a soft kernel has about 12


@dataclass(frozen=True)
class Condition:
    """A row of the scorecard: how its phantoms differ from the plain ones.

    count: phantoms for each one asked for. judged: its share found is a goal of its own.
    """

    key: str
    title: str
    change: Callable[[PhantomSpec, np.random.Generator], PhantomSpec] = lambda spec, _: spec
    spacing_mm: float = 1.0
    views: tuple[tuple[str, str], ...] = VIEWS
    count: int = 1
    judged: bool = True


def _sharp(spec: PhantomSpec, _: np.random.Generator) -> PhantomSpec:
    return replace(spec, sharpness=1.0, noise_hu=B70_NOISE_HU)


def _contrast(spec: PhantomSpec, rng: np.random.Generator) -> PhantomSpec:
    return replace(spec, contrast="arterial" if rng.random() < 0.5 else "venous")


def _scoliosis(spec: PhantomSpec, rng: np.random.Generator) -> PhantomSpec:
    return replace(spec, scoliosis_deg=40.0 if rng.random() < 0.5 else -40.0)


def _cut_top(spec: PhantomSpec, rng: np.random.Generator) -> PhantomSpec:
    return replace(spec, margin_mm=(-float(rng.uniform(5, 12)), 15.0))


def _cut_bottom(spec: PhantomSpec, rng: np.random.Generator) -> PhantomSpec:
    return replace(spec, margin_mm=(15.0, -float(rng.uniform(5, 12))))


def _fractured(spec: PhantomSpec, rng: np.random.Generator) -> PhantomSpec:
    """Two to four fractures from T4 down, of any kind, 20 to 60 % of the height lost."""
    every = column_levels()
    first = max(every.index(spec.levels[0]), every.index("T4"))
    usable = every[first : every.index(spec.levels[1]) + 1]
    chosen = rng.choice(len(usable), size=int(rng.integers(2, 5)), replace=False)
    kinds = ("wedge", "biconcave", "crush")
    return replace(
        spec,
        fractures=tuple(
            FractureSpec(
                usable[int(i)],
                kinds[int(rng.integers(3))],  # type: ignore[arg-type]
                round(float(rng.uniform(0.2, 0.6)), 3),
                bool(rng.random() < 0.5),
            )
            for i in chosen
        ),
    )


CONDITIONS = (
    Condition("plain", "plain, 1 mm slices"),
    Condition("3mm", "3 mm slices", spacing_mm=3.0),
    Condition("5mm", "5 mm slices", spacing_mm=5.0),
    Condition("sharp", "sharp kernel with its noise", _sharp),
    Condition("contrast", "contrast", _contrast),
    Condition("scoliosis", "scoliosis of 40°", _scoliosis),
    Condition("cut_top", "cut at the top", _cut_top, views=TRUNK_VIEWS),
    Condition("cut_bottom", "cut at the bottom", _cut_bottom, views=TRUNK_VIEWS),
    Condition(
        "fractures", "fractures, 1 mm slices", _fractured, views=TRUNK_VIEWS, count=2, judged=False
    ),
    Condition(
        "fractures_3mm", "fractures, 3 mm slices", _fractured, 3.0, TRUNK_VIEWS, 2, judged=False
    ),
)  # fmt: skip


def specs(condition: Condition, phantoms: int) -> list[PhantomSpec]:
    """The examinations of one condition; more phantoms only add to the first ones."""
    first = FIRST_SEED + SEEDS_PER_CONDITION * CONDITIONS.index(condition)
    return [
        _spec(condition, number, first + number) for number in range(phantoms * condition.count)
    ]


def _spec(condition: Condition, number: int, seed: int) -> PhantomSpec:
    """Anatomy is drawn anew for each; what the scanner does is what the condition says."""
    rng = np.random.default_rng(seed)
    drawn = random_spec(
        rng,
        DrawOptions(
            pixel_mm=1.0, spacing_mm=condition.spacing_mm, matrix=FIELD_MM,
            levels=condition.views[number % len(condition.views)],
            fracture_rate=0.0, lesion_rate=0.0, metal_rate=0.0, transition_rate=0.0,
        ),
    )  # fmt: skip
    plain = replace(
        drawn, contrast="none", noise_hu=12.0, sharpness=0.0, margin_mm=(15.0, 15.0),
        slice_thickness_mm=condition.spacing_mm, circular_fov=False,
    )  # fmt: skip
    return condition.change(plain, rng)
