"""A stack of slices -> the volume: pixels in place, axes turned, gaps and tilt dealt with.

The volume's array is made once, in its final order (z to the head, y to the back, x to the left);
slices are written into it through a turned view, so turning costs no copy.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vfx_edge.errors import InputError
from vfx_edge.image.orientation import turn_to_spl
from vfx_edge.inputs.modality import Modality
from vfx_edge.inputs.pixels import Undecodable, Values, read_into
from vfx_edge.inputs.rescale import with_rescale
from vfx_edge.inputs.stack import FEWEST_SLICES, Floats, Stack, sorted_stack
from vfx_edge.parallel import cores, map_computing
from vfx_edge.room import check_scan

MAX_VOXELS = 1_500_000_000
"""3 GB of int16: 5700 slices of 512 x 512."""
MAX_FAILED_SHARE = 0.1

BRIDGED_STEPS, BRIDGED_MM, BRIDGED_AT_MOST_MM = 2.2, 3.5, 6.0
"""A gap counts as measured up to 2.2 slice distances or 3.5 mm, but never above 6 mm (or one
slice distance): wider ones are filled all the same, and marked as not valid."""


class VolumeTooLarge(InputError):
    """More voxels than any CT has, or than this machine's memory holds."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        size = " x ".join(str(n) for n in shape)
        super().__init__(f"The series has {size} voxels, too many to be read: send a smaller part.")


@dataclass(frozen=True, eq=False)
class Built:
    """values: (z, y, x) int16; affine (4, 4) index -> LPS; valid: None where all was measured."""

    values: Values
    affine: Floats
    valid: NDArray[np.bool_] | None
    stack: Stack
    warnings: tuple[str, ...]


def build(stack: Stack, modality: Modality) -> Built:
    """The volume of a stack. A few slices that can't be decoded are treated as missing, and so
    are those of which nobody knows what their numbers mean."""
    return _built(with_rescale(stack, modality), modality)


def _built(stack: Stack, modality: Modality) -> Built:
    plain = stack.even and not stack.sheared
    built, failed = (_direct if plain else _resampled)(stack, modality)
    if not failed:
        return built
    kept = tuple(s for i, s in enumerate(stack.slices) if i not in failed)
    if len(failed) > max(1, MAX_FAILED_SHARE * len(stack.slices)) or len(kept) < FEWEST_SLICES:
        first = stack.slices[min(failed)]
        raise Undecodable(first.source.name, len(failed), first.pixels.syntax)
    del built
    note = f"{len(failed)} damaged slice(s) could not be decoded and were left out."
    return _built(sorted_stack(kept, (*stack.warnings, note)), modality)


def _affine(stack: Stack, step: float, corner_mm: Floats) -> Floats:
    """(slice, row, column, 1) -> LPS."""
    rows_mm, columns_mm = stack.slices[0].pixel_spacing_mm or (1.0, 1.0)
    affine = np.eye(4)
    affine[:3, 0] = stack.normal * step
    affine[:3, 1] = stack.column * rows_mm
    affine[:3, 2] = stack.row * columns_mm
    affine[:3, 3] = corner_mm
    return affine


def _corner(stack: Stack) -> Floats:
    return np.asarray(stack.slices[0].position_mm, float)


def _empty(shape: tuple[int, ...]) -> Values:
    if np.prod([float(n) for n in shape]) > MAX_VOXELS:
        raise VolumeTooLarge(shape)
    check_scan(shape, 2, cores())
    try:
        return np.empty(shape, np.int16)
    except MemoryError:
        raise VolumeTooLarge(shape) from None


def _direct(stack: Stack, modality: Modality) -> tuple[Built, set[int]]:
    """A straight, even stack: every slice decoded to where it stays."""
    first = stack.slices[0]
    shape = (len(stack.slices), first.rows, first.columns)
    turn = turn_to_spl(_affine(stack, stack.step_mm, _corner(stack)), shape)
    values = _empty(turn.shape)
    failed = _fill(stack, turn.as_stored(values), modality)
    return Built(values, turn.affine, None, stack, ()), failed


def _fill(stack: Stack, stored: Values, modality: Modality) -> set[int]:
    """Decodes every slice into `stored` (slice, row, column); indices of those that failed."""
    bad = set(map(id, read_into(zip(stack.slices, stored, strict=True), modality)))
    return {i for i, s in enumerate(stack.slices) if id(s) in bad}


def _resampled(stack: Stack, modality: Modality) -> tuple[Built, set[int]]:
    """An uneven or sheared stack on the even upright grid nearest to it.

    Each slice is shifted within its plane to where the true affine puts it (linear between
    pixels), which undoes the shear without touching the slice direction; uneven distances are
    interpolated linearly between the two neighbouring slices.
    """
    first = stack.slices[0]
    raw = _empty((len(stack.slices), first.rows, first.columns))
    failed = _fill(stack, raw, modality)
    rows_mm, columns_mm = first.pixel_spacing_mm or (1.0, 1.0)
    drift = stack.drift_mm if stack.sheared else np.zeros_like(stack.drift_mm)
    start = drift.min(axis=0)
    shift_px = np.asarray((drift - start) / (columns_mm, rows_mm))
    wider, taller = (int(n) for n in np.ceil(shift_px.max(axis=0)))
    targets = _targets(stack)
    corner = _corner(stack) + stack.row * start[0] + stack.column * start[1]
    shape = (len(targets), first.rows + taller, first.columns + wider)
    turn = turn_to_spl(_affine(stack, float(targets[1] - targets[0]), corner), shape)
    values = _empty(turn.shape)
    trusted = _resample(raw, stack, shift_px, targets, turn.as_stored(values), modality.lowest)
    valid = _valid(trusted, shift_px, raw.shape, shape)
    turned = None if valid is None else turn.apply(valid)
    return Built(values, turn.affine, turned, stack, _what_was_done(stack)), failed


def _targets(stack: Stack) -> Floats:
    """Places of the even grid's slices along the normal."""
    if stack.even:
        return np.asarray(stack.offsets_mm[0] + stack.step_mm * np.arange(len(stack.slices)))
    reach = float(stack.offsets_mm[-1] - stack.offsets_mm[0])
    count = max(2, round(reach / stack.step_mm) + 1)
    return np.linspace(stack.offsets_mm[0], stack.offsets_mm[-1], count)


def _resample(
    raw: Values,
    stack: Stack,
    shift_px: Floats,
    targets: Floats,
    out: Values,
    outside: int,
) -> list[tuple[int, ...]]:
    """Fills `out`; for each of its slices the slices it came from, none where the gap is wide."""
    last = len(stack.slices) - 1
    at = (
        np.arange(last + 1.0)
        if stack.even
        else np.interp(targets, stack.offsets_mm, np.arange(last + 1))
    )
    widest = _bridged_mm(stack.step_mm)

    def one(k: int) -> tuple[int, ...]:
        low = min(int(at[k] + 1e-3), last)
        weight = float(at[k] - low)
        here = _shifted(raw[low], shift_px[low], out.shape[1:], outside)
        if weight <= 1e-3:
            np.copyto(out[k], np.rint(here), casting="unsafe")
            return (low,)
        there = _shifted(raw[low + 1], shift_px[low + 1], out.shape[1:], outside)
        np.copyto(out[k], np.rint(here + (there - here) * np.float32(weight)), casting="unsafe")
        return (low, low + 1) if stack.gaps_mm[low] <= widest else ()

    return map_computing(one, range(len(targets)))


def _valid(
    trusted: list[tuple[int, ...]], shift_px: Floats, raw: tuple[int, ...], out: tuple[int, ...]
) -> NDArray[np.bool_] | None:
    """Where `out` was measured; whole slices, where nothing drifts, take no memory."""
    if not shift_px.any():
        measured = np.array([bool(sources) for sources in trusted])
        return None if measured.all() else np.broadcast_to(measured[:, None, None], out)
    valid = np.zeros(out, np.bool_)
    for k, sources in enumerate(trusted):
        if sources:
            low, high = shift_px[list(sources)].min(axis=0), shift_px[list(sources)].max(axis=0)
            columns, rows = (
                slice(int(np.ceil(b)), int(a) + n)
                for a, b, n in zip(low, high, raw[:0:-1], strict=True)
            )
            valid[k, rows, columns] = True
    return valid


def _bridged_mm(step: float) -> float:
    return max(min(max(BRIDGED_STEPS * step, BRIDGED_MM), BRIDGED_AT_MOST_MM), 1.2 * step)


def _shifted(
    image: Values, shift_px: Floats, shape: tuple[int, ...], outside: int
) -> NDArray[np.float32]:
    """The image moved by (columns, rows) pixels, linear between them, on a canvas of `outside`."""
    canvas = np.full(shape, outside, np.float32)
    whole = np.floor(shift_px).astype(int)
    rows, columns = image.shape
    window = canvas[whole[1] : whole[1] + rows, whole[0] : whole[0] + columns]
    window[:] = image
    across, down = (np.float32(part) for part in shift_px - whole)
    if across > 1e-4:
        window[:, 1:] += (image[:, :-1] - window[:, 1:]) * across
    if down > 1e-4:
        before = window[:-1].copy()
        window[1:] += (before - window[1:]) * down
    return canvas


def _what_was_done(stack: Stack) -> tuple[str, ...]:
    notes: list[str] = []
    if stack.sheared:
        degrees = np.degrees(np.arctan(stack.tilt))
        notes.append(f"The gantry was tilted by {degrees:.1f} degrees: the shear was undone.")
    if not stack.even:
        wide = int((stack.gaps_mm > _bridged_mm(stack.step_mm)).sum())
        notes.append(
            f"Slices are missing or unevenly spaced (gaps of {stack.gaps_mm.min():.2f} to "
            f"{stack.gaps_mm.max():.2f} mm): interpolated to {stack.step_mm:.2f} mm."
        )
        if wide:
            notes.append(f"{wide} gap(s) are too wide to be trusted: nothing is measured there.")
    return tuple(notes)
