"""Errors from other processes."""

import pickle
from pathlib import Path

import pytest

from vfx_edge.errors import VfxError
from vfx_edge.files import OutputDiskFull, OutputFailed
from vfx_edge.inputs.files import PathMissing
from vfx_edge.inputs.nifti import NotHounsfield
from vfx_edge.manifest.errors import SetNotWritten

PLACE = Path("out")


@pytest.mark.parametrize(
    "error",
    [OutputDiskFull(PLACE), OutputFailed(PLACE, "File too large"), PathMissing(PLACE),
     NotHounsfield("a.nii", "all is 0"), SetNotWritten(PLACE, "it is there", "name another")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_an_error_comes_out_of_its_process_as_it_was(error: VfxError) -> None:
    """A pool that can't rebuild one takes its process for dead, and says so instead."""
    error.names = ("a.nii",)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.names) == (type(error), str(error), error.names)
