"""A network that knows fractures beside the heights: who is asked, and what comes of it."""

from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs

from tests.fake_backend import FakeNetwork
from tests.spine.nets import network, spec_of
from tests.spine.test_classify import (
    BROKEN,
    CUT,
    INTACT,
    METAL,
    NO_NORM,
    PLAIN,
    WRONG,
    mask,
    ramp,
)
from vfx_edge.manifest import DetectorParameters, NetworkSpec
from vfx_edge.spine.detect import detect_fractures
from vfx_edge.study import Detection, Level, Measurement
from vfx_edge.vocabulary import T1_TO_L5


def detector_spec(**parameters: object) -> NetworkSpec:
    """Like the default set's classifier, but for its question."""
    spec = spec_of("classifier", **PLAIN)
    own = DetectorParameters(**{"threshold": 0.75, "levels": T1_TO_L5, **parameters})
    output = structs.replace(spec.output, classes=("intact", "fractured"), activation="none")
    return structs.replace(spec, roles=("detector",), parameters=(own,), output=output)


def answering(*p_fractured: float, **parameters: object) -> FakeNetwork:
    queue = list(p_fractured)

    def function(_: NetworkSpec, batch: np.ndarray) -> np.ndarray:
        rows = np.array([queue.pop(0) for _ in batch])
        return np.stack([1 - rows, rows], 1)

    return network(detector_spec(**parameters), function)


def detected(
    net: FakeNetwork, *cases: tuple[Level, Measurement], wanted: tuple[Level, ...] = T1_TO_L5
) -> list[Measurement]:
    masks = [mask(level) for level, _ in cases]
    return list(detect_fractures(ramp(), masks, [m for _, m in cases], net, wanted.__contains__))


@pytest.mark.parametrize(
    ("measured", "p", "suspected"),
    [(INTACT, 0.75, True), (INTACT, 0.74, False), (BROKEN, 0.9, True), (BROKEN, 0.1, True),
     (METAL, 0.9, True), (METAL, 0.1, None)],
)  # fmt: skip
def test_either_may_suspect_and_no_network_clears_what_heights_cannot_tell(
    measured: Measurement, p: float, suspected: bool | None
) -> None:
    (got,) = detected(answering(p), (Level.L1, measured))
    assert got.suspected_fracture is suspected
    assert got.detection == Detection(pytest.approx(p), p >= 0.75)
    assert replace(got, detection=None) == measured


def test_who_is_not_asked() -> None:
    """What the edge cuts, what can't be right, what is not wanted, what the network does not
    know. A vertebra whose rim alone is cut has its heights, and is asked about."""
    net = answering(0.9, levels=(Level.C7, Level.T12, Level.L1))
    cases = [(Level.C7, NO_NORM), (Level.T12, CUT), (Level.T12, WRONG), (Level.L2, INTACT)]
    assert detected(net, *cases) == [measured for _, measured in cases]
    part = mask(Level.L1)
    rim = replace(part, vertebra=replace(part.vertebra, wholly_in_view=False))
    wanted = T1_TO_L5.__contains__
    (got,) = detect_fractures(ramp(), [rim], [INTACT], net, wanted)
    assert got.detection is not None
    (cut,) = detect_fractures(ramp(), [rim], [METAL], net, wanted)
    assert cut == METAL


def test_of_crop_and_mirror_image_the_less_sure_answer_holds() -> None:
    (got,) = detected(answering(0.9, 0.6, mirror=1), (Level.L1, INTACT))
    assert got.detection == Detection(pytest.approx(0.6), False)
