"""What the service adds to a study, measured as the benchmark does: real processes, real DICOM."""

from statistics import median

import pytest

from benchmarks import inputs
from benchmarks.goals import SERVICE
from benchmarks.service import both_ways

pytest.importorskip("pynetdicom")


@pytest.mark.slow
@pytest.mark.alone
def test_results_are_in_the_archive_as_soon_as_a_command_would_have_had_them() -> None:
    with inputs.scan(None, slices=100, matrix=256) as scan:
        found = both_ways(scan.path, repeat=2)
    pairs = zip(found["through_s"], found["alone_s"], strict=True)
    assert median(through - alone for through, alone in pairs) <= SERVICE.least, found
