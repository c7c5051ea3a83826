"""Measured signs against phantoms whose signs are known, and what intact vertebrae show: for
docs/signs.md, and for the norms in `vfx_edge/spine/signs/norms.py`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks import results
from benchmarks.options import Cts
from benchmarks.results import Kept
from models.recipes.scorecard.render import replaced
from models.recipes.scorecard.table import table
from vfx_edge.phantom import Phantom, PhantomSpec, SignSpec, make_phantom
from vfx_edge.spine.height_loss import measure_vertebrae
from vfx_edge.spine.segment import masks_from_labels
from vfx_edge.spine.signs import measure_signs
from vfx_edge.spine.signs.posterior_border import beyond_line
from vfx_edge.study import Sign, VertebraMask

NAME = "signs"
PAGE = results.ROOT / "docs" / "signs.md"
SEED, NORM_SEED = 5100, 5600
"""Phantoms that are judged, and those that norms come from; no recipe trains on either."""
VIEWS = (("T11", "L3", "L1"), ("T6", "T10", "T8"), ("L1", "L5", "L3"), ("T9", "L1", "T11"))
NEAR_MM = 0.5
WITHIN_MM = 12.0
FOUND = {"gas": "gas", "mass": "paravertebral_tissue", "gap": "cortical_gap",
         "canal": "canal_tissue", "pedicle": "pedicle_right"}  # fmt: skip

Rows = list[dict[str, Any]]


def command(
    phantoms: Annotated[int, typer.Option(help="Phantoms that are judged.", min=4)] = 40,
    norm: Annotated[int, typer.Option(help="Phantoms that norms come from.", min=4)] = 20,
    own: Annotated[int, typer.Option(help="Of the judged, again with the chain's masks.")] = 40,
    ct: Cts = None,
) -> None:
    """Signs of known size, found and measured, and what intact vertebrae show, of phantoms and of
    CTs of your own. Writes the tables of docs/signs.md. Resumable."""
    kept = Kept(NAME, {"phantoms": phantoms, "norm": norm, "own": own, "ct": len(ct or ())})
    judged = [kept.point(f"phantom {n}", _given, SEED + n) for n in range(phantoms)]
    intact = [kept.point(f"norm {n}", _given, NORM_SEED + n) for n in range(norm)]
    drawn_by_chain = [kept.point(f"own masks {n}", _chain, SEED + n) for n in range(own)]
    real = [kept.point(f"ct {n}", _real, path) for n, path in enumerate(ct or ())]
    given, by_chain = (list(chain.from_iterable(one)) for one in (judged, drawn_by_chain))
    kept.finish(
        {
            "given": _figures(given),
            "own": _figures(by_chain),
            "intact": {
                "phantoms": _ranges(list(chain.from_iterable(intact))),
                "own": _ranges(by_chain),
                "ct": _ranges(list(chain.from_iterable(real))),
            },
        }
    )
    render()


def drawn(seed: int) -> tuple[PhantomSpec, str]:
    """A phantom of five levels whose middle one has the signs; and that level."""
    rng = np.random.default_rng(seed)
    first, last, middle = VIEWS[seed % len(VIEWS)]
    signs = [
        SignSpec(middle, "gas", float(rng.uniform(0.4, 1.5))),
        SignSpec(middle, "mass", float(rng.uniform(8, 20)), "left"),
        SignSpec(middle, "gap", float(rng.uniform(60, 180)), "right"),
        SignSpec(middle, "pedicle", 1.0, "right"),
    ]
    if rng.random() < 0.6:
        signs.append(SignSpec(middle, "convexity", float(rng.uniform(0, 5))))
    else:
        signs.append(SignSpec(middle, "canal", float(rng.uniform(0.8, 2.0))))
    spec = PhantomSpec(
        levels=(first, last),
        matrix=(80, 80),
        spacing_mm=float(rng.choice([1.0, 1.5, 2.0])),
        signs=tuple(signs),
        contrast=("none", "arterial", "venous")[int(rng.integers(3))],
        bone_density=float(rng.uniform(0.4, 1.0)),
        degeneration=float(rng.uniform(0, 0.7)),
        noise_hu=float(rng.uniform(8, 25)),
        randomness=1.0,
        seed=seed,
    )
    return spec, middle


def _given(seed: int) -> Rows:
    """Rows of a phantom, measured on its true outlines."""
    spec, middle = drawn(seed)
    phantom = make_phantom(spec)
    masks = masks_from_labels(phantom.scan.image, phantom.labels)
    return list(_rows(phantom, middle, masks, by_hand=True))


def _chain(seed: int) -> Rows:
    """The same on the outlines that the shipped networks draw."""
    from vfx_edge.backends import open_models
    from vfx_edge.manifest import load_model_set
    from vfx_edge.spine.chain import analyze

    spec, middle = drawn(seed)
    phantom = make_phantom(spec)
    with open_models(load_model_set("default"), "auto") as models:
        masks = analyze(phantom.scan, models).masks
    return list(_rows(phantom, middle, masks, by_hand=False))


def _rows(
    phantom: Phantom, middle: str, masks: Sequence[VertebraMask], by_hand: bool
) -> Iterator[dict[str, Any]]:
    """One for each whole vertebra. The planted one counts as suspected, so that none of its
    neighbours is held against it. A mask is that of the vertebra that it lies in, by whatever
    name: the norms are those of the name."""
    image = phantom.scan.image
    levels = [_level_at(phantom, mask) for mask in masks]
    measured = tuple(
        replace(one, suspected_by_heights=level == middle)
        for one, level in zip(measure_vertebrae(image, masks, 0.2, by_hand), levels, strict=True)
    )
    found = measure_signs(image, masks, measured, lambda mask, _: not mask.touches_edge)
    for level, signs in zip(levels, found, strict=True):
        if signs and level is not None:
            yield {
                "level": level,
                "planted": {sign.kind: sign.size for sign in phantom.truth.get(level).signs},
                "convexity": _true_convexity(phantom, level, middle),
                "signs": {sign.name: sign.value for sign in signs},
                "outside": _outside(signs),
            }


def _level_at(phantom: Phantom, mask: VertebraMask) -> str | None:
    """The whole vertebra that the mask lies in; None where it lies in none."""
    place = np.array(mask.vertebra.centroid_lps_mm)
    away = {one.level: float(np.linalg.norm(place - one.centroid_lps_mm)) for one in
            phantom.truth.levels if one.whole_in_view}  # fmt: skip
    nearest = min(away, key=lambda level: away[level], default=None)
    return nearest if nearest is not None and away[nearest] < WITHIN_MM else None


def _outside(signs: Sequence[Sign]) -> list[str]:
    return [sign.name for sign in signs if sign.is_abnormal]


def _true_convexity(phantom: Phantom, level: str, middle: str) -> float | None:
    """By the solids that were drawn, with the same line through the same neighbours."""
    truth = phantom.truth
    whole = [one for one in truth.levels if one.whole_in_view and one.back_wall_lps_mm]
    names = [one.level for one in whole]
    at = names.index(level)
    near = [one for i, one in enumerate(whole) if 0 < abs(i - at) <= 2 and one.level != middle]
    own = truth.get(level)
    if len(near) < 2 or own.back_wall_lps_mm is None:
        return None
    axes = np.array([own.up_lps, own.back_lps, np.cross(own.back_lps, own.up_lps)])
    points = [np.array(one.back_wall_lps_mm) for one in near]
    ups = [np.array(one.up_lps) for one in near]
    return beyond_line(np.array(own.back_wall_lps_mm), axes, points, ups)


def _real(path: Path) -> Rows:
    """Vertebrae of a CT that no fracture is suspected of, on the chain's own outlines."""
    from vfx_edge import Options, analyze

    rows = analyze(path, options=Options(classify="all", signs=True)).findings
    return [
        {"level": one.vertebra.level.value, "planted": {}, "outside": _outside(one.signs),
         "signs": {sign.name: sign.value for sign in one.signs}}
        for one in rows
        if one.signs and one.measurement.suspected_fracture is False
    ]  # fmt: skip


def _figures(rows: Rows) -> dict[str, Any]:
    if not rows:
        return {}
    errors = [
        row["signs"]["convexity"] - row["convexity"]
        for row in rows
        if row["signs"]["convexity"] is not None and row["convexity"] is not None
    ]
    return {
        "vertebrae": len(rows),
        "convexity": {
            "n": len(errors),
            "bias_mm": float(np.mean(errors)),
            "sd_mm": float(np.std(errors)),
            "mean_absolute_mm": float(np.mean(np.abs(errors))),
            "within": float(np.mean(np.abs(errors) <= NEAR_MM)),
        },
        "found": {kind: _rate(rows, kind, name) for kind, name in FOUND.items()},
    }


def _rate(rows: Rows, kind: str, name: str) -> dict[str, int]:
    """What could not be told of a planted one was not found."""
    planted = [row for row in rows if kind in row["planted"]]
    intact = [row for row in rows if not row["planted"] and row["signs"][name] is not None]
    return {
        "planted": len(planted),
        "found": sum(name in row["outside"] for row in planted),
        "intact": len(intact),
        "false": sum(name in row["outside"] for row in intact),
    }


def _ranges(rows: Rows) -> dict[str, dict[str, float]]:
    """Of vertebrae without signs: the middle, and where 2.5 and 97.5 % of them end."""
    found = {}
    plain = [row["signs"] for row in rows if not row["planted"]]
    for name in plain[0] if plain else ():
        values = [row[name] for row in plain if row[name] is not None]
        if values:
            low, middle, high = np.quantile(values, (0.025, 0.5, 0.975))
            found[name] = {"n": len(values), "low": low, "middle": middle, "high": high}
    return found


def render() -> None:
    """Write the tables of docs/signs.md from what was measured."""
    found = results.read(NAME)
    assert found is not None
    PAGE.write_text(page(PAGE.read_text("utf-8"), results.flat(found)), encoding="utf-8")


def page(text: str, figures: dict[str, Any]) -> str:
    """`text` with the tables made anew."""
    parts = [
        _said(words, figures[key])
        for key, words in (("given", "true outlines"), ("own", "the chain's own outlines"))
        if figures[key]
    ]
    return replaced(text, NAME, "\n\n".join([*parts, _norms(figures["intact"])]) + "\n")


def _said(words: str, one: dict[str, Any]) -> str:
    wall = one["convexity"]
    rows = [
        (kind, f"{it['found']} of {it['planted']}", f"{it['false']} of {it['intact']}")
        for kind, it in one["found"].items()
    ]
    return (
        f"With {words} ({one['vertebrae']} vertebrae of phantoms): convexity is off by "
        f"{wall['mean_absolute_mm']:.2f} mm in the mean (bias {wall['bias_mm']:+.2f}, SD "
        f"{wall['sd_mm']:.2f}; {100 * wall['within']:.0f} % of {wall['n']} within {NEAR_MM} mm)."
        "\n\n" + table(("sign", "planted ones found", "intact ones marked"), rows)
    )


def _norms(intact: dict[str, Any]) -> str:
    names = list(intact["phantoms"])
    groups = ("phantoms", "own", "ct")
    rows = [(name, *(_range(intact[group].get(name)) for group in groups)) for name in names]
    return "Of intact vertebrae, the middle and where 2.5 and 97.5 % of them end:\n\n" + table(
        ("sign", "phantoms", "phantoms, outlines of the chain", "CTs"), rows
    )


def _range(one: dict[str, float] | None) -> str:
    if one is None:
        return "–"
    return f"{one['middle']:.1f} ({one['low']:.1f} to {one['high']:.1f}; n = {one['n']:.0f})"
