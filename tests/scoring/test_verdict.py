"""The product's own verdict, from an analysis that sent every vertebra to the classifier."""

from collections.abc import Iterator

import pytest

from tests.spine.coded import coded, oracle
from tests.spine.nets import models
from vfx_edge.spine import chain
from vfx_edge.spine.chain import ChainOptions, analyze
from vfx_edge.spine.classify import without_request
from vfx_edge.spine.plausible import ScanLook
from vfx_edge.spine.triage import triage
from vfx_edge.study import THORACOLUMBAR, Classified


@pytest.fixture(autouse=True)
def coded_voxels_pass_for_tissue() -> Iterator[None]:
    """What a coded scan's voxels say is not what tissue has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain, "look_at_scan", lambda *_: ScanLook())
        yield


def test_asking_about_every_vertebra_leaves_the_verdict() -> None:
    """L3 has a lesion and kept its shape: `run` without options says nothing of it."""
    scan = coded(wedges=("L1",), lesions=("L3",)).scan
    networks = models(oracle)
    plain = analyze(scan, networks)
    asked = analyze(scan, networks, ChainOptions(classify=THORACOLUMBAR))
    answered = [f.vertebra.level for f in asked.findings if isinstance(f.assessment, Classified)]
    assert set(answered) > {f.vertebra.level for f in plain.findings
                            if isinstance(f.assessment, Classified)}  # fmt: skip
    assert asked.triage.tier != plain.triage.tier
    own = without_request(asked.findings, networks.manifest.network("classifier"))
    assert own == plain.findings
    assert triage(own, THORACOLUMBAR) == plain.triage
