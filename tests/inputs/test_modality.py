"""Another modality than CT is one file of data."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import MRImageStorage

from tests.inputs.world import put, write_scan
from vfx_edge.errors import InputError
from vfx_edge.inputs import load_scan
from vfx_edge.inputs.modality import MR

AS_MR = put(SOPClassUID=MRImageStorage, Modality="MR", RescaleSlope=None, RescaleIntercept=None)


def test_mr_is_read_in_its_own_numbers(tmp_path: Path) -> None:
    write_scan(tmp_path / "ct")
    write_scan(tmp_path / "mr", None, AS_MR)
    ct, mr = load_scan(tmp_path / "ct").image, load_scan(tmp_path / "mr", modality=MR).image
    assert (mr.modality, mr.unit, mr.outside) == ("MR", "1", 0.0)
    assert np.array_equal(mr.values, ct.values + 1024)
    assert np.array_equal(mr.affine_zyx_to_lps, ct.affine_zyx_to_lps)


def test_each_is_refused_where_the_other_is_wanted(tmp_path: Path) -> None:
    write_scan(tmp_path / "mr", None, AS_MR)
    write_scan(tmp_path / "ct")
    with pytest.raises(InputError, match="of modality MR, not CT"):
        load_scan(tmp_path / "mr")
    with pytest.raises(InputError, match="of modality CT, not MR"):
        load_scan(tmp_path / "ct", modality=MR)
