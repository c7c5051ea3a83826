"""`vfx-edge evaluate --repeat`: what is refused at the start, and folders without labels."""

from pathlib import Path

import pytest
import typer

from vfx_edge.cli.evaluate_repeat import labelled_or_plain, perturbations_of
from vfx_edge.labelled.errors import NoDataset
from vfx_edge.scoring.repeat import PerturbationUnknown


def test_scans_made_anew_do_not_fit_the_masks_of_experts() -> None:
    with pytest.raises(typer.BadParameter, match="leave --masks out"):
        perturbations_of(True, "all", "given")
    assert perturbations_of(True, "none", "given") == ()
    assert perturbations_of(False, "all", "given") == ()
    with pytest.raises(PerturbationUnknown):
        perturbations_of(True, "blur", "chain")


def test_a_folder_without_labels_is_enough_to_repeat_and_for_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "1.dcm").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(NoDataset):
        labelled_or_plain(tmp_path, None, repeat=False)
    (study,) = labelled_or_plain(tmp_path, None, repeat=True).studies
    assert (study.name, study.rows) == ("one", ())
    (tmp_path / "none").mkdir()
    with pytest.raises(NoDataset):
        labelled_or_plain(tmp_path / "none", None, repeat=True)
