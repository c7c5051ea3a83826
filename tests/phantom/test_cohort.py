"""A cohort of phantoms is what its labels say."""

from collections import Counter

import numpy as np
import pytest

from vfx_edge.labelled.dataset import Label
from vfx_edge.phantom import Part
from vfx_edge.phantom.cohort import CAUSES, READERS, draw_cohort, make_study, readings


def test_voxels_are_what_the_labels_say() -> None:
    study = next(s for s in draw_cohort(20, 0) if "osteoporotic" in s.labels.values())
    hu, phantom = make_study(study)
    whole = {v.level for v in phantom.truth.levels if v.whole_in_view}
    assert study.labels.keys() <= whole
    for level in phantom.truth.levels:
        label = Label(study.labels.get(level.level, "intact"))
        assert bool(level.fracture) == label.fractured
        assert bool(level.lesions) == (label in (Label.MALIGNANT, Label.INTACT_LESION))
        assert (study.genant(level.level) > 0) == label.fractured
    changed = hu != phantom.hu
    assert set(np.unique(phantom.parts[changed])) <= {Part.BODY}


def test_shares_splits_and_readers_are_as_stated() -> None:
    cohort = draw_cohort(900, 5)
    assert draw_cohort(30, 5) == cohort[:30]
    split = {study.patient: study.split for study in cohort}
    assert all(split[study.patient] == study.split for study in cohort)
    held_out = Counter(split.values())
    assert held_out["test"] / len(split) == pytest.approx(0.18, abs=0.01)
    labels = [label for study in cohort for label in study.labels.values()]
    for cause in ("osteoporotic", "malignant"):
        patients = {s.patient for s in cohort if cause in s.labels.values()}
        assert len(patients) / len(split) == pytest.approx(CAUSES[cause], abs=0.06)
    assert 0.02 < labels.count("intact_lesion") / len(labels) < 0.15
    answers = [
        (study.labels[level], said) for study in cohort for level, said in readings(study).items()
    ]
    for reader in READERS:
        for truth, share in (
            ("malignant", reader.sensitivity),
            ("osteoporotic", reader.specificity),
        ):
            told = [said[reader.name][0] for label, said in answers if label == truth]
            clear = [answer for answer in told if answer not in ("", "uncertain")]
            assert clear.count(truth) / len(clear) == pytest.approx(share, abs=0.06)
        assert {len(said[reader.name]) for _, said in answers} == {reader.times}
