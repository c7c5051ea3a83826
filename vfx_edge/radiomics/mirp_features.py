"""mirp behind one function: the only file that knows it.

mirp's public functions prepare image and mask. Which features are computed is said to the generator
beneath them: the public functions know whole families alone, and two features that are not
published take longer than all the others together.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfx_edge.quiet import quiet
from vfx_edge.radiomics.settings import (
    BIN_HU,
    FAMILIES,
    GRID_MM,
    RANGE_HU,
    RadiomicsMissing,
    names_of,
)


def mirp_version() -> str:
    """Of the installed package. RadiomicsMissing."""
    try:
        return version("mirp")
    except ModuleNotFoundError:
        raise RadiomicsMissing from None


def mirp_features(
    values_hu: NDArray[np.float32],
    inside: NDArray[np.bool_],
    bin_hu: float,
    range_hu: tuple[float, float],
    voxel_mm: float = GRID_MM,
) -> dict[str, float]:
    """The published features of the voxels that are `inside`, by mirp's names; NaN where one is
    not defined.

    values_hu, inside: (z, y, x), cubes of `voxel_mm`. RadiomicsMissing.
    """
    with quiet(), _nothing_logged(), np.errstate(all="ignore"):
        image, mask, settings = _prepared(values_hu, inside, bin_hu, range_hu, voxel_mm)
        return dict(_computed(_wanted(settings, bin_hu), image, mask))


def ibsi_names() -> dict[str, dict[str, str]]:
    """Feature -> its name in words and its code in IBSI's reference manual. RadiomicsMissing."""
    with _nothing_logged():
        wanted = _wanted(_settings(BIN_HU, RANGE_HU), BIN_HU)
    # mirp 2.7.0 has a digit too many behind one of the codes
    return {one.table_name: {"name": one.name, "ibsi": one.ibsi_id[:4]} for one in wanted}


def _wanted(settings: Any, bin_hu: float) -> list[Any]:
    """mirp's features, not computed yet, in our order."""
    from mirp._features.feature_generator import generate_features

    found = {}
    for one in generate_features(settings.feature_extr):
        one.create_table_name()
        found[one.table_name] = one
    return [found[name] for family in FAMILIES for name in names_of(family, bin_hu)]


def _computed(wanted: Iterable[Any], image: Any, mask: Any) -> Iterator[tuple[str, float]]:
    """mirp keeps a matrix for the features that follow, until it is told of the next one."""
    before = None
    for one in wanted:
        one.compute(image=image, mask=mask)
        if before is not None:
            before.clear_local_cache(other=one)
        before = one
        value = float("nan") if one.value is None else float(one.value)
        yield one.table_name, value if np.isfinite(value) else float("nan")
    if before is not None:
        before.clear_cache()


def _settings(bin_hu: float, range_hu: tuple[float, float]) -> Any:
    try:
        from mirp.settings.import_config_parameters import import_configuration_settings
    except ModuleNotFoundError:
        raise RadiomicsMissing from None
    (settings,) = import_configuration_settings(
        compute_features=True,
        base_feature_families=list(FAMILIES),
        base_discretisation_method="fixed_bin_size",
        base_discretisation_bin_width=bin_hu,
        resegmentation_intensity_range=list(range_hu),
    )
    return settings


def _prepared(
    values_hu: NDArray[np.float32],
    inside: NDArray[np.bool_],
    bin_hu: float,
    range_hu: tuple[float, float],
    voxel_mm: float,
) -> tuple[Any, Any, Any]:
    """mirp's own image, mask and settings."""
    settings = _settings(bin_hu, range_hu)
    from mirp import extract_images
    from mirp.data_import.import_image import import_image
    from mirp.data_import.import_mask import import_mask

    (image,) = import_image(np.rint(values_hu), image_modality="ct")
    (mask,) = import_mask(inside.astype(int))
    image.image_spacing = mask.image_spacing = (voxel_mm,) * 3
    ((images, masks),) = extract_images(
        image=image, mask=mask, settings=settings, image_export_format="native"
    )
    return images[0], masks[0], settings


@contextmanager
def _nothing_logged() -> Iterator[None]:
    """mirp sets up logging to standard output for the whole process where nobody has: a handler
    that does nothing stands there meanwhile."""
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
