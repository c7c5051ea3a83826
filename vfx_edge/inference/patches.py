"""Between our arrays and a network's: axes, Hounsfield windows, tiles.

Ours are (z, y, x) = "SPL". A manifest may ask for any other order; nobody else has to know.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from vfx_edge.backends.protocol import Network
from vfx_edge.image import Image
from vfx_edge.image.grids import FloatArray, Grid, grid_covering, sample
from vfx_edge.manifest import InputSpec

_OPPOSITE = {"I": "S", "A": "P", "R": "L"}
_OURS = "SPL"


def network_axes(spec: InputSpec) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(order, flips): network axis i is our axis order[i]; our axes in `flips` are reversed."""
    letters = [spec.orientation[i] for i in spec.transpose]
    order = tuple(_OURS.index(_OPPOSITE.get(letter, letter)) for letter in letters)
    flips = tuple(axis for axis, letter in zip(order, letters, strict=True) if letter in _OPPOSITE)
    return order, flips


def our_shape(spec: InputSpec) -> tuple[int, int, int]:
    """The patch's shape in our axes (z, y, x)."""
    order, _ = network_axes(spec)
    by_axis = dict(zip(order, spec.patch_zyx, strict=True))
    return by_axis[0], by_axis[1], by_axis[2]


def from_voxel_to_middle_mm(spec: InputSpec) -> tuple[float, float, float]:
    """LPS mm from voxel n // 2 of each of the network's axes to the middle of the patch: half a
    voxel where n is even."""
    _, flips = network_axes(spec)
    half = [(n + 1) % 2 / 2 * spec.spacing_mm for n in our_shape(spec)]
    z, y, x = (gap if axis in flips else -gap for axis, gap in enumerate(half))
    return x, y, z


def to_network(patch: FloatArray, spec: InputSpec) -> FloatArray:
    """(…, z, y, x) in our axes -> the network's axes."""
    order, flips = network_axes(spec)
    lead = patch.ndim - 3
    turned = np.flip(patch, tuple(lead + a for a in flips)) if flips else patch
    return turned.transpose([*range(lead), *(lead + a for a in order)])


def from_network(patch: FloatArray, spec: InputSpec) -> FloatArray:
    """(…, a, b, c) in the network's axes -> ours (z, y, x)."""
    order, flips = network_axes(spec)
    lead = patch.ndim - 3
    back = patch.transpose([*range(lead), *(lead + order.index(a) for a in range(3))])
    return np.flip(back, tuple(lead + a for a in flips)) if flips else back


def as_batch(patches: Sequence[FloatArray], spec: InputSpec) -> FloatArray:
    """Patches (c, z, y, x), ready in numbers and our axes -> the network's batch."""
    return np.ascontiguousarray(np.stack([to_network(p, spec) for p in patches]), np.float32)


def run_patches(network: Network, patches: Sequence[FloatArray]) -> FloatArray:
    """Patches (c, z, y, x), ready in numbers and our axes -> probabilities (n, c, z, y, x), or
    (n, c) from a network that answers once for the whole patch."""
    spec = network.spec.input
    answer = network.probabilities(as_batch(patches, spec))
    return from_network(answer, spec) if answer.ndim == 5 else answer


def tile_starts(length: int, patch: int, overlap: int) -> list[int]:
    """First indices of tiles that cover 0..length-1; one tile, centred, if it is long enough."""
    if length <= patch:
        return [-((patch - length) // 2)]
    overlap = min(overlap, patch // 2)
    count = int(np.ceil((length - overlap) / (patch - overlap)))
    return [round(s) for s in np.linspace(0, length - patch, count)]


def cut(
    array: FloatArray, start: Sequence[int], shape: Sequence[int], outside: float
) -> FloatArray:
    """The box of `shape` at `start` (may reach outside the array: filled with `outside`)."""
    out = np.full(tuple(shape), outside, np.float32)
    src = [
        slice(max(s, 0), min(s + n, m)) for s, n, m in zip(start, shape, array.shape, strict=True)
    ]
    if all(s.stop > s.start for s in src):
        dst = tuple(slice(a.start - s, a.stop - s) for a, s in zip(src, start, strict=True))
        out[dst] = array[tuple(src)]
    return out


def paste(
    total: FloatArray,
    weight: FloatArray,
    part: FloatArray,
    start: Sequence[int],
    window: FloatArray,
) -> None:
    """Add part times window, both (z, y, x), into total (Z, Y, X), and window into weight."""
    dst = [
        slice(max(s, 0), min(s + n, m))
        for s, n, m in zip(start, part.shape, weight.shape, strict=True)
    ]
    if any(d.stop <= d.start for d in dst):
        return
    src = tuple(slice(d.start - s, d.stop - s) for d, s in zip(dst, start, strict=True))
    where = tuple(dst)
    total[where] += part[src] * window[src]
    weight[where] += window[src]


def taper(shape: Sequence[int]) -> FloatArray:
    """Weights of a tile: full in the middle, falling linearly to its faces."""
    ramps = []
    for n in shape:
        distance = np.minimum(np.arange(n) + 1, np.arange(n)[::-1] + 1) / (n / 4)
        ramps.append(np.minimum(distance, 1.0))
    z, y, x = ramps
    return np.asarray(z[:, None, None] * y[:, None] * x, dtype=np.float32)


def tile_answers(
    network: Network,
    values: FloatArray,
    starts: Sequence[Sequence[int]],
    wanted: int,
    outside: float,
) -> list[FloatArray]:
    """Probability (z, y, x) of class number `wanted` in each tile of values (z, y, x). outside:
    what tiles see beyond the values."""
    spec = network.spec.input
    size = our_shape(spec)
    tiles = [spec.normalise(cut(values, start, size, outside))[None] for start in starts]
    return [part[wanted] for part in run_patches(network, tiles)] if tiles else []


def blended(
    shape: tuple[int, int, int],
    starts: Sequence[Sequence[int]],
    parts: Sequence[FloatArray],
    beside: float = 0.0,
) -> FloatArray:
    """Tiles (z, y, x) at `starts` as one array of `shape`: overlaps tapered, `beside` where none
    lies."""
    total, weight = (np.zeros(shape, np.float32) for _ in range(2))
    for start, part in zip(starts, parts, strict=True):
        paste(total, weight, part, start, taper(part.shape))
    np.divide(total, weight, out=total, where=weight > 0)
    total[weight == 0] = beside
    return total


def run_tiles(
    network: Network,
    values: FloatArray,
    starts: Sequence[Sequence[int]],
    wanted: int,
    outside: float,
) -> FloatArray:
    """`tile_answers`, `blended`."""
    z, y, x = values.shape
    return blended((z, y, x), starts, tile_answers(network, values, starts, wanted, outside))


def run_everywhere(
    network: Network, image: Image, wanted: int, overlap: int
) -> tuple[FloatArray, Grid]:
    """Probability (z, y, x) of class number `wanted` over the whole image, and its grid, at the
    network's own spacing. overlap: voxels that neighbouring tiles share at least."""
    spec = network.spec.input
    grid = grid_covering(image, spec.spacing_mm)
    along = [
        tile_starts(length, patch, overlap)
        for length, patch in zip(grid.shape, our_shape(spec), strict=True)
    ]
    return run_tiles(network, sample(image, grid), [*product(*along)], wanted, image.outside), grid


def probability_image(network: Network, image: Image, wanted: int, overlap: int = 16) -> Image:
    """Probability of class number `wanted` over the whole image, as an image of the network's own
    spacing, of the same modality and without a unit. overlap: as of `run_everywhere`."""
    values, grid = run_everywhere(network, image, wanted, overlap)
    return Image(values, grid.affine_zyx_to_lps, image.modality, "1")


def as_points(values: NDArray[np.float64]) -> list[tuple[float, float, float]]:
    """(n, 3) array -> list of float triples."""
    return [(float(a), float(b), float(c)) for a, b, c in values]
