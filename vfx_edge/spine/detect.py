"""Whether a vertebra is broken, by a network: beside its heights, which may have lost nothing."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from vfx_edge.backends.protocol import Network
from vfx_edge.image import Image
from vfx_edge.manifest import DetectorParameters
from vfx_edge.spine.crops import is_cut, least_certain, views
from vfx_edge.study import Detection, Level, Measurement, VertebraMask
from vfx_edge.vocabulary import IMPLAUSIBLE


def detect_fractures(
    image: Image,
    masks: Sequence[VertebraMask],
    measurements: Sequence[Measurement],
    detector: Network,
    wanted: Callable[[Level], bool],
) -> tuple[Measurement, ...]:
    """The measurements with what the network says, for each vertebra of a level that is wanted
    and that the network knows, if it is in view; also where its heights can't be read."""
    parameters = detector.spec.parameters_of(DetectorParameters)

    def is_asked(mask: VertebraMask, measured: Measurement) -> bool:
        level = mask.vertebra.level
        readable = measured.reason not in IMPLAUSIBLE and not is_cut(mask.vertebra, measured)
        return readable and level in parameters.levels and wanted(level)

    pairs = list(zip(masks, measurements, strict=True))
    asked = [i for i, (mask, measured) in enumerate(pairs) if is_asked(mask, measured)]
    if not asked:
        return tuple(measurements)
    answers = views(image, [masks[i] for i in asked], masks, detector)
    fractured = detector.spec.classes.index("fractured")
    said = dict(zip(asked, map(float, least_certain(answers[..., fractured])), strict=True))
    return tuple(
        replace(one, detection=Detection(said[i], said[i] >= parameters.threshold))
        if i in said
        else one
        for i, one in enumerate(measurements)
    )
