"""What is computed, and how: every number here changes what the features are worth, so all of it
is said beside them."""

from importlib.util import find_spec
from typing import Any

from vfx_edge.errors import UsageError

GRID_MM = 1.0
"""Edge of a voxel: the scan is read anew, linearly, on a grid of this."""
BIN_HU = 25.0
"""Width of a bin of grey values (IBSI: fixed bin size). HU mean the same in every scan, so bins of
a fixed width do, too."""
RANGE_HU = (-1000.0, 3000.0)
"""What is counted as tissue; the first bin begins at the lower end. Above is metal."""
LEAST_VOXELS = 64
"""Of a body: of less, no texture can be told."""
MARGIN = 2
"""Voxels about the body that go along: mirp's own surfaces need one."""

_SHAPE = (
    "volume vol_approx area_mesh av comp_1 comp_2 sph_dispr sphericity asphericity com integ_int"
    " diam vol_dens_conv_hull area_dens_conv_hull vol_dens_aabb area_dens_aabb pca_maj_axis"
    " pca_min_axis pca_least_axis pca_elongation pca_flatness vol_dens_aee area_dens_aee"
)
_FIRST_ORDER = (
    "mean var skew kurt median min p10 p90 max iqr range mad rmad medad cov qcod energy rms"
)
_HISTOGRAM = (
    "mean var skew kurt median min p10 p90 max mode iqr range mad rmad medad cov qcod entropy"
    " uniformity max_grad max_grad_g min_grad min_grad_g"
)
_GLCM = (
    "joint_max joint_avg joint_var joint_entr diff_avg diff_var diff_entr sum_avg sum_var sum_entr"
    " energy contrast dissimilarity inv_diff inv_diff_norm inv_diff_mom inv_diff_mom_norm inv_var"
    " corr auto_corr clust_tend clust_shade clust_prom info_corr1 info_corr2"
)
_EMPHASES = "sre lre lgre hgre srlge srhge lrlge lrhge"
_RUNS = f"{_EMPHASES} glnu glnu_norm rlnu rlnu_norm r_perc gl_var rl_var rl_entr"
_ZONES = (
    "sze lze lgze hgze szlge szhge lzlge lzhge glnu glnu_norm zsnu zsnu_norm z_perc gl_var zs_var"
    " zs_entr"
)
_DISTANCES = (
    "sde lde lgze hgze sdlge sdhge ldlge ldhge glnu glnu_norm zdnu zdnu_norm z_perc gl_var zd_var"
    " zd_entr"
)
_TONES = "coarseness contrast busyness complexity strength"
_DEPENDENCES = (
    "lde hde lgce hgce ldlge ldhge hdlge hdhge glnu glnu_norm dcnu dcnu_norm dc_perc gl_var dc_var"
    " dc_entr dc_energy"
)
FAMILIES: dict[str, tuple[str, str, str, str]] = {
    "morphological": ("morph", "", _SHAPE, "HCUG"),
    "statistics": ("stat", "", _FIRST_ORDER, "UHIW"),
    "intensity_histogram": ("ih", "", _HISTOGRAM, "ZVCW"),
    "glcm": ("cm", "d1_3d_v_mrg", _GLCM, "LFYI"),
    "glrlm": ("rlm", "3d_v_mrg", _RUNS, "TP0I"),
    "glszm": ("szm", "3d", _ZONES, "9SAK"),
    "gldzm": ("dzm", "3d", _DISTANCES, "VMDZ"),
    "ngtdm": ("ngt", "3d", _TONES, "IPET"),
    "ngldm": ("ngl", "d1_a0.0_3d", _DEPENDENCES, "REK0"),
}
"""Family, as mirp calls it -> beginning of its features' names, what of the matrix stands behind
them, the features, IBSI's code of the family. Left out: Moran's I and Geary's C, which mirp only
estimates in a region as large as a vertebra; local intensity and the intensity-volume histogram,
which IBSI's phantom tests with settings that are not those of CT."""
PLAIN_NAMES = ("morphological", "statistics")
"""Of these no grey value is put into a bin."""


def names_of(family: str, bin_hu: float = BIN_HU) -> tuple[str, ...]:
    """The features of a family as mirp names them, which is how IBSI's reference tables do."""
    start, matrix, features, _ = FAMILIES[family]
    middle = f"_{matrix}" if matrix else ""
    end = "" if family in PLAIN_NAMES else f"_fbs_w{bin_hu}"
    return tuple(f"{start}_{feature}{middle}{end}" for feature in features.split())


FEATURES: tuple[str, ...] = tuple(name for family in FAMILIES for name in names_of(family))
"""All that is published, in its order: columns of `features.csv`. For each of them the test holds
mirp to IBSI's reference value on IBSI's digital phantom."""


class RadiomicsMissing(UsageError):
    """mirp is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "Radiomics need the package mirp, not installed here: run "
            "pip install 'vfx-edge[radiomics]'."
        )


def check_installed() -> None:
    """RadiomicsMissing."""
    if find_spec("mirp") is None:
        raise RadiomicsMissing


def settings_told(version: str) -> dict[str, Any]:
    """What stands in `features.json`, by the names of IBSI's reporting guideline. version: mirp's.

    Source: IBSI reference manual (arXiv 1612.07003), chapters 2 (processing) and 3 (features).
    """
    return {
        "schema": "vfx-edge/features/1",
        "software": f"mirp {version}",
        "region": "vertebral body, without arch and processes",
        "image_interpolation": {"method": "trilinear", "voxel_mm": [GRID_MM] * 3},
        "mask_interpolation": {"method": "trilinear", "inside_from": 0.5},
        "intensity_rounding": "to whole HU",
        "resegmentation": {"method": "range", "hu": list(RANGE_HU)},
        "discretisation": {"method": "fixed bin size", "bin_hu": BIN_HU, "first_hu": RANGE_HU[0]},
        "texture_matrices": {
            "glcm": "3D, merged over the volume (IBSI:IAZD), distance 1, symmetric",
            "glrlm": "3D, merged over the volume (IBSI:IAZD)",
            "glszm": "3D (IBSI:KOBO)",
            "gldzm": "3D (IBSI:KOBO)",
            "ngtdm": "3D (IBSI:KOBO)",
            "ngldm": "3D (IBSI:KOBO), distance 1, coarseness 0",
        },
        "families": {
            name: {"ibsi": code, "features": len(names_of(name))}
            for name, (_, _, _, code) in FAMILIES.items()
        },
    }
