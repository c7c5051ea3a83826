"""Training on labelled CT: what is shown, who is split how, what a killed run ends in, the set."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("torch", reason="the recipes need the extra 'export'")

import torch
from hypothesis import given
from hypothesis import strategies as st

from export.parity_reference import from_original
from models.recipes.__main__ import app
from models.recipes.labelled import (
    card,
    command,
    loop,
    options,
    phantoms,
    report,
    runs,
    sets,
    split,
)
from models.recipes.labelled.crops import STORED, CropFacts, StoredCrop, cut, load, save
from models.recipes.labelled.loop import Schedule
from models.recipes.labelled.plan import EDGE, Plan, crop_spec
from models.recipes.labelled.shown import shown
from models.recipes.nets import Net3D
from vfx_edge.backends import open_models
from vfx_edge.image import Image
from vfx_edge.labelled.dataset import Label, Split
from vfx_edge.manifest import load_model_set
from vfx_edge.phantom import make_phantom
from vfx_edge.spine.crops import crop
from vfx_edge.spine.segment import masks_from_labels

RIM = slice((STORED - EDGE) // 2, (STORED + EDGE) // 2)


def blobs(label: Label, count: int, part: str, seed: int) -> list[StoredCrop]:
    """Crops of one patient each: a bright ball if malignant or with a lesion, a dark one if not."""
    rng = np.random.default_rng(seed)
    far = np.linalg.norm(np.indices((STORED,) * 3) - (STORED - 1) / 2, axis=0)
    bright = 900 if label in (Label.MALIGNANT, Label.INTACT_LESION) else 100
    found = []
    for n in range(count):
        hu = rng.normal(0, 50, far.shape) + bright * (far < rng.uniform(12, 20))
        name = f"{label.value}{part}{n}"
        facts = CropFacts(name, name, "L1", label, part)
        found.append(StoredCrop(facts, hu.astype(np.int16), far < 25))
    return found


@pytest.fixture(scope="module")
def crops() -> tuple[StoredCrop, ...]:
    found = []
    for seed, (label, count) in enumerate(
        ((Label.OSTEOPOROTIC, 3), (Label.MALIGNANT, 3), (Label.INTACT_LESION, 2))
    ):
        found += blobs(label, count, "train", seed)
        if label.fractured:
            found += blobs(label, 1, "validation", 10 + seed) + blobs(label, 1, "test", 20 + seed)
    return tuple(found)


SHORT = Schedule(epochs=2, batch=4, seed=3)


def test_what_is_taught_is_what_is_asked_at_run_time(tmp_path: Path) -> None:
    """The middle of a stored crop, masked or not, is the chain's own crop but for whole HU."""
    spec = replace(phantoms.spec_of(Label.OSTEOPOROTIC, 3), matrix=(128, 128))
    phantom = make_phantom(spec)
    image = Image(phantom.hu.copy(), phantom.affine_zyx_to_lps, "CT", "HU")
    mask = next(m for m in masks_from_labels(image, phantom.labels)
                if m.vertebra.level.value == spec.fractures[0].level)  # fmt: skip
    facts = CropFacts("s", "p", spec.fractures[0].level, Label.OSTEOPOROTIC)
    save(tmp_path / "one.npz", [cut(image, mask, facts)])
    (stored,) = load(tmp_path / "one.npz") or []
    assert stored.facts == facts
    for plan in (Plan(), Plan(masked=False, window="bone")):
        own = crop_spec(plan)
        asked = crop(image, mask, own)
        taught = shown([stored], own.input, "cpu").plain([0])[0, 0].numpy()
        assert np.abs(taught - asked).max() <= 0.6 / own.input.hu_scale
        assert asked.std() > 0.01


def test_augmented_crops_stay_about_their_middle_and_hide_what_the_mask_hides(
    crops: tuple[StoredCrop, ...],
) -> None:
    own = shown(crops[:4], crop_spec(Plan()).input, "cpu")
    varied = own.varied([0, 1, 2, 3], np.random.default_rng(0))
    assert varied.shape == (4, 1, EDGE, EDGE, EDGE)
    hidden = (varied == 0).float().mean((1, 2, 3, 4))
    ball = 4 / 3 * np.pi * 25**3 / EDGE**3
    assert torch.allclose(hidden, torch.full((4,), 1 - ball), atol=0.12)
    assert not torch.equal(varied[0], own.plain([0])[0])


def test_approach_2_teaches_intact_lesions_as_malignant(crops: tuple[StoredCrop, ...]) -> None:
    one, two = (runs.taught_by(Plan(approach=n), crops, 1) for n in (1, 2))
    lesions = [c for c in two.crops if c.facts.label is Label.INTACT_LESION]
    assert len(lesions) == len(two.crops) - len(one.crops) == 2
    assert all(two.classes[two.crops.index(c)] == 1 for c in lesions)
    detector = Plan(role="detector")
    assert [detector.number_of(label) for label in Label] == [1, 1, 0, None, None]


@given(st.lists(st.sampled_from([(0,), (1,), (0, 1)]), min_size=8, max_size=60), st.integers(0, 9))
def test_no_patient_is_in_two_parts(classes: list[tuple[int, ...]], seed: int) -> None:
    people = [split.Person(str(n), frozenset(own)) for n, own in enumerate(classes)]
    found = split.parts(people, seed)
    assert set(found) == {person.name for person in people}
    test = sum(part is Split.TEST for part in found.values())
    assert abs(test - split.TEST_SHARE * len(people)) <= 3
    of = split.folds(people, 4, seed)
    sizes = np.bincount(list(of.values()), minlength=4)
    assert sizes.max() - sizes.min() <= 1


def test_the_files_own_split_holds() -> None:
    people = [split.Person(str(n), frozenset({n % 2}), s) for n, s in
              enumerate(["train"] * 8 + ["test"] * 2 + ["external"] * 2)]  # fmt: skip
    found = split.parts(people, 0)
    assert {n for n, part in found.items() if part is Split.TEST} == {"8", "9"}
    assert {n for n, part in found.items() if part is Split.EXTERNAL} == {"10", "11"}
    assert sum(part is Split.VALIDATION for part in found.values()) == 2


def test_a_killed_training_ends_in_the_same_weights(
    crops: tuple[StoredCrop, ...], tmp_path: Path
) -> None:
    taught = runs.taught_by(Plan(), crops, 1)
    learn, stop = taught.of(Split.TRAIN)[::2], taught.of(Split.VALIDATION)
    lines: list[str] = []

    def killed(line: str) -> None:
        raise KeyboardInterrupt

    whole = runs.train_on(taught, learn, stop, Plan(), SHORT, tmp_path / "a", lines.append)
    with pytest.raises(KeyboardInterrupt):
        runs.train_on(taught, learn, stop, Plan(), SHORT, tmp_path / "b", killed)
    again = runs.train_on(taught, learn, stop, Plan(), SHORT, tmp_path / "b", lines.append)
    assert again.progress.epoch == whole.progress.epoch == 2
    for name, weight in whole.net.state_dict().items():
        assert torch.equal(weight, again.net.state_dict()[name]), name
    assert "min left" in lines[0]


def test_a_loss_that_is_no_number_is_a_sentence(crops: tuple[StoredCrop, ...]) -> None:
    progress = loop.Progress(Net3D(), torch.optim.Adam([torch.zeros(1)]), log=[])
    with pytest.raises(loop.TrainingDiverged, match=r"epoch 1: .*--rate"):
        loop.note(progress, float("nan"), 0.7, 1.0)


def test_training_stops_when_nothing_is_gained() -> None:
    progress = loop.Progress(Net3D(), torch.optim.Adam([torch.zeros(1)]), log=[])
    for held in (0.7, 0.6, 0.65, 0.66):
        assert loop.finished(progress, Schedule(patience=2)) is None
        loop.note(progress, 0.5, held, 60.0)
    assert progress.best_epoch == 2
    assert "no lower validation loss" in str(loop.finished(progress, Schedule(patience=2)))
    assert loop.finished(progress, Schedule(minutes=10)) is None
    assert "minutes" in str(loop.finished(progress, Schedule(minutes=4.5)))
    assert loop.ended_by_the_clock(progress, Schedule(minutes=4.5))
    assert not loop.ended_by_the_clock(progress, Schedule(minutes=4.5, patience=2))
    assert not loop.ended_by_the_clock(progress, Schedule(minutes=4.5, epochs=4))


def test_the_set_answers_as_the_network_and_takes_a_detector_besides(
    crops: tuple[StoredCrop, ...], tmp_path: Path
) -> None:
    schedule = replace(SHORT, epochs=1)
    wanted = report.Wanted(Plan(approach=3), schedule, tmp_path / "set", tmp_path / "work", 0)
    made = command.trained_on(crops, ("row 7: it was blurred",), wanted, lambda _: None)
    command.write(made)
    manifest = load_model_set(wanted.out)
    assert {"locator", "segmenter", "classifier"} <= set(manifest.roles)
    assert manifest.network("classifier").input.mask == "vertebra"
    inputs = shown(made.taught.crops[:2], crop_spec(wanted.plan).input, "cpu").plain([0, 1])
    with torch.no_grad():
        told = made.trained.net.eval()(inputs).softmax(1).numpy()
    with open_models(manifest, "cpu", roles=("classifier",)) as models:
        answered = models.network("classifier").probabilities(inputs.numpy())
    np.testing.assert_allclose(answered, told, atol=1e-4)
    kept = from_original(wanted.work / "classifier.pt", manifest.network("classifier"))
    np.testing.assert_allclose(kept(inputs.numpy()), told, atol=1e-6)
    text = (wanted.out / "card.md").read_text(encoding="utf-8")
    assert "row 7: it was blurred" in text
    assert "axes" in text
    assert made.scores["test"]["crops"] == 2
    assert "Trained for 1 epoch in" in text
    assert "The clock" not in text + options.summary(made)
    assert f"vfx-edge evaluate DATASET --model {wanted.out} -o " in options.summary(made)
    hurried = replace(made, wanted=replace(wanted, schedule=replace(SHORT, minutes=0.001)))
    assert "more --minutes and --overwrite" in options.summary(hurried)
    assert "The clock ended it before" in card.section(hurried)
    intact = [replace(c, facts=replace(c.facts, label=Label.INTACT)) for c in crops
              if c.facts.label is Label.OSTEOPOROTIC]  # fmt: skip
    broken = [c for c in crops if c.facts.label is Label.MALIGNANT]
    more = replace(wanted, plan=Plan(role="detector"))
    command.write(command.trained_on((*intact, *broken), (), more, lambda _: None))
    both = load_model_set(wanted.out)
    assert {network.roles[0] for network in both.networks[:2]} == {"classifier", "detector"}
    assert both.network("classifier").sha256 == manifest.network("classifier").sha256
    assert both.version == "2"
    with pytest.raises(Exception, match="has a detector already"):
        sets.check(wanted.out, "detector", overwrite=False)
    assert json.dumps(card.figures(made))


@pytest.mark.parametrize(
    ("label", "count", "sentence"),
    [
        (Label.MALIGNANT, 0, "only 'osteoporotic' is labelled"),
        (Label.MALIGNANT, 1, "'malignant'"),
    ],
)
def test_too_little_is_a_sentence(label: Label, count: int, sentence: str) -> None:
    some = [*blobs(Label.OSTEOPOROTIC, 5, "", 0), *blobs(label, count, "", 1)]
    with pytest.raises((split.OneClass, split.TooFewPatients), match=sentence):
        runs.taught_by(Plan(approach=1), some, 1)


def test_the_old_way_says_which_command_it_is(tmp_path: Path) -> None:
    asked = ["train", "classifier", "--work", str(tmp_path), "--labelled", str(tmp_path)]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 2
    assert "classifier --role classifier" in " ".join(result.output.split()).replace("│ ", "")
    wrong = ["classifier", "--labelled", str(tmp_path), "-o", str(tmp_path), "--work",
             str(tmp_path), "--approach", "4"]  # fmt: skip
    assert "use one of 1, 2, 3" in CliRunner().invoke(app, wrong).output
