"""`vfx-edge calibrate` from outside: a set that keeps its promise on cases it never saw, never over
another, and a sentence for what can't be."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_models import tiny_classifier, write_full_set, write_set
from tests.tuning import evaluations
from tests.tuning.conftest import Command
from vfx_edge.manifest import ClassifierParameters, ModelManifest, load_model_set
from vfx_edge.scoring.rows import VertebraRow
from vfx_edge.spine.classify import combined_views, decide
from vfx_edge.study import Classified, Tier


def read_of(made: ModelManifest, rows: list[VertebraRow]) -> tuple[float, float, float]:
    """Sensitivity, specificity and share uncertain when the set itself decides."""
    spec = made.network("classifier")
    views = np.array([[(row.p_osteoporotic, row.p_malignant) for row in rows]], np.float32)
    combined = combined_views(views, ("osteoporotic", "malignant"), spec.calibration)
    tiers = []
    for answer in zip(*combined, strict=True):
        said = decide(answer, True, spec)
        assert isinstance(said, Classified)
        tiers.append(said.tier)
    called, truth = np.array(tiers), np.array([row.label == "malignant" for row in rows])
    told = called != Tier.UNCERTAIN
    return (
        float((called == Tier.MALIGNANT)[told & truth].mean()),
        float((called == Tier.OSTEOPOROTIC)[told & ~truth].mean()),
        float((~told).mean()),
    )


@pytest.mark.parametrize(
    ("words", "sensitivity", "specificity", "uncertain"),
    [
        (("--sensitivity", "0.95"), (0.93, 0.97), (0.5, 0.8), 0.0),
        (("--specificity", "0.95"), (0.5, 0.8), (0.93, 0.97), 0.0),
        (("--sensitivity", "0.95", "--specificity", "0.9"), (0.93, 0.97), (0.87, 0.93), 0.33),
        (("--uncertain", "0.3"), (0.9, 1.0), (0.9, 1.0), 0.33),
    ],
    ids=["sensitivity", "specificity", "both", "uncertain"],
)
def test_the_new_set_does_on_fresh_cases_what_was_wanted(
    words: tuple[str, ...],
    sensitivity: tuple[float, float],
    specificity: tuple[float, float],
    uncertain: float,
    command: Command,
    source: ModelManifest,
    tmp_path: Path,
) -> None:
    rows = evaluations.cases(4000, "ours", too_sure=2.0)
    folder = evaluations.write(tmp_path / "evaluation", rows, source)
    done = command(folder, "-o", tmp_path / "new", *words)
    assert done.code == 0, done.err
    made = load_model_set(tmp_path / "new")
    fresh = read_of(made, evaluations.cases(4000, "ours", seed=9, too_sure=2.0))
    assert sensitivity[0] <= fresh[0] <= sensitivity[1]
    assert specificity[0] <= fresh[1] <= specificity[1]
    assert fresh[2] <= uncertain
    assert ("nobody stays uncertain" in " ".join(done.out.split())) is (fresh[2] == 0)
    calibration = made.network("classifier").calibration
    assert calibration is not None
    assert calibration.temperature == pytest.approx(2.0, rel=0.15)
    assert f"{made.version}, digest {made.digest}" in done.out
    said = [float(n) for n in re.findall(r"Expected of new patients: sensitivity (\d+)", done.out)]
    assert said[0] / 100 == pytest.approx(fresh[0], abs=0.035)


def test_a_set_that_travels_alone_and_says_what_it_rests_on(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A department's own classifier on a base: every network is copied, files of the same name
    under two, and the source is not touched."""
    monkeypatch.setenv("VFX_EDGE_MODELS", str(tmp_path / "models"))
    write_full_set(tmp_path / "models" / "roots", intended_use="research")
    folder = tmp_path / "models" / "ours"
    write_set(folder, {"classifier": tiny_classifier(seed=5)}, base="roots")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    source = load_model_set("ours")
    rows = evaluations.cases(120, "ours")
    evaluation = evaluations.write(tmp_path / "evaluation", rows, source)
    words = ("--uncertain", "0.2", "--coverage", "0.9")
    assert command(evaluation, "-o", tmp_path / "new", *words).code == 0
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    monkeypatch.delenv("VFX_EDGE_MODELS")

    made = load_model_set(tmp_path / "new")
    assert (made.name, made.base, made.roles) == ("new", None, source.roles)
    assert made.intended_use == source.intended_use
    for role in made.roles:
        assert made.network(role).read() == source.network(role).read()
        assert made.network(role).input == source.network(role).input
    calibration = made.network("classifier").calibration
    assert calibration is not None
    assert re.fullmatch(r"1\.0\+cal\.\d{8}\.[0-9a-f]{8}", made.version)
    assert made.version.endswith(calibration.name)
    assert (calibration.cases, calibration.malignant) == (120, 60)
    assert calibration.wanted == "at most 0.2 uncertain"
    assert calibration.coverage == 0.9
    card = made.card.read_text(encoding="utf-8")
    assert "120 fractures of 120 patients, 60 of them malignant; validation" in card
    assert source.digest in card
    assert card.endswith("# A tiny set\n")
    page = (tmp_path / "new" / "calibration.html").read_text(encoding="utf-8")
    assert page.count("<polyline") > 2
    assert "120 fractures of 120 patients" in page
    assert not re.search(r"(src|href)=", page)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["evaluation", "models", "new"]


def test_calibrated_twice_is_as_good_as_once(
    command: Command, source: ModelManifest, tmp_path: Path
) -> None:
    """What the calibrated set answers has its temperature already: both are one in the end."""
    rows = evaluations.cases(800, "ours", too_sure=2.0)
    folder = evaluations.write(tmp_path / "evaluation", rows, source)
    assert command(folder, "-o", tmp_path / "once", "--sensitivity", "0.9").code == 0
    once = load_model_set(tmp_path / "once")
    first = once.network("classifier").calibration
    assert first is not None
    tempered = [_answered_by(once, row) for row in rows]
    again = evaluations.write(tmp_path / "again", tempered, once)
    assert command(again, "-o", tmp_path / "twice", "--sensitivity", "0.9").code == 0
    twice = load_model_set(tmp_path / "twice")
    second = twice.network("classifier").calibration
    assert second is not None
    assert second.temperature == pytest.approx(first.temperature, rel=1e-3)
    assert twice.version.count("cal.") == 1
    assert twice.summary.count("Thresholds chosen") == 1
    assert read_of(twice, rows) == read_of(once, rows)


def _answered_by(made: ModelManifest, row: VertebraRow) -> VertebraRow:
    calibration = made.network("classifier").calibration
    assert calibration is not None
    p = calibration.tempered(np.array([row.p_osteoporotic, row.p_malignant], np.float32))
    return replace(row, p_osteoporotic=float(p[0]), p_malignant=float(p[1]))


def test_where_nothing_is_wanted_of_the_tiers_they_stay(
    command: Command, source: ModelManifest, tmp_path: Path
) -> None:
    rows = evaluations.cases(400, "ours", too_sure=2.0)
    folder = evaluations.write(tmp_path / "evaluation", rows, source)
    assert command(folder, "-o", tmp_path / "new").code == 0
    made = load_model_set(tmp_path / "new")
    assert made.network("classifier").calibration is not None
    now, then = (
        one.network("classifier").parameters_of(ClassifierParameters) for one in (made, source)
    )
    assert now.threshold_malignant < then.threshold_malignant
    assert read_of(made, rows) == read_of(source, rows)


def test_only_looking_writes_nothing(
    command: Command, source: ModelManifest, tmp_path: Path
) -> None:
    rows = evaluations.cases(100, "a program")
    folder = evaluations.write(tmp_path / "evaluation", rows, None)
    done = command(folder, "--show", "--uncertain", "0.2", "-o", tmp_path / "new")
    assert done.code == 0
    assert re.search(r"20%\s+0\.\d{3}\s+0\.\d{3}\s+\d+ % \(\d+/\d+\)", done.out)
    assert "chosen" in done.out
    assert not (tmp_path / "new").exists()
    done = command(folder, "-o", tmp_path / "new", "--uncertain", "0.2")
    assert (done.code, done.out) == (3, "")
    assert "does not say which model set gave the answers of 'a program'" in done.err
    done = command(folder, "-o", tmp_path / "new", "--uncertain", "0.2", "--set", source.directory)
    assert done.code == 0
    card = (tmp_path / "new" / "card.md").read_text(encoding="utf-8")
    assert f"the digest {source.digest} is the word of" in card


def test_ten_cases_give_a_set_and_say_how_little_is_known(
    command: Command, source: ModelManifest, tmp_path: Path
) -> None:
    rows = evaluations.cases(10, "ours", seed=4)
    lost = replace(rows[0], study="lost", reason="not_found")
    rows.append(replace(lost, p_malignant=None, p_osteoporotic=None))
    folder = evaluations.write(tmp_path / "evaluation", rows, source)
    words = ("--sensitivity", "0.95", "--coverage", "0.95")
    done = command(folder, "-o", tmp_path / "new", *words)
    assert done.code == 0, done.err
    assert "Only 5 malignant: with fewer than 50" in done.out
    assert "unlike all it was taught): 1 of these" in done.out
    assert "5 patients with such a fracture, and a coverage of 0.95 needs 19" in done.out
    calibration = load_model_set(tmp_path / "new").network("classifier").calibration
    assert calibration is not None
    assert calibration.conformal_malignant is None
    assert calibration.possible(0.001, 0.999) == ("osteoporotic", "malignant")


def test_patients_with_several_fractures_are_left_out_whole(
    command: Command, source: ModelManifest, tmp_path: Path
) -> None:
    rows = evaluations.cases(300, "ours", per_patient=3)
    folder = evaluations.write(tmp_path / "evaluation", rows, source)
    done = command(folder, "--show", "--uncertain", "0.1")
    assert "100 patients have 300 fractures" in done.out


BAD = {
    "no folder": (lambda rows: None, (), "there is no such folder"),
    "no rows of the split": (
        lambda rows: evaluations.of_split(rows, "test"),
        (),
        "it has test (40): name another with --split",
    ),
    "train unless it is said": (
        lambda rows: evaluations.of_split(rows, "train"),
        (),
        "no fracture of the split validation",
    ),
    "one class": (
        lambda rows: [row for row in rows if row.label == "malignant"],
        (),
        "all 20 answered fractures of the evaluation are malignant",
    ),
    "nothing answered": (
        lambda rows: [replace(row, p_malignant=None) for row in rows],
        (),
        "it has none at all",
    ),
    "another model": (lambda rows: rows, ("--model", "theirs"), "no model set 'theirs'"),
    "several models": (
        lambda rows: [*rows, *(replace(row, model="b") for row in rows)],
        (),
        "name one with --model, of ours, b",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_calibrated_is_one_sentence_and_no_folder(
    name: str, command: Command, source: ModelManifest, tmp_path: Path
) -> None:
    change, words, says = BAD[name]
    rows = change(evaluations.cases(40, "ours"))
    folder = tmp_path / "evaluation"
    if rows is not None:
        evaluations.write(folder, rows, source)
    done = command(folder, "-o", tmp_path / "new", "--uncertain", "0.2", *words)
    assert (done.code, done.out) == (3, "")
    assert says in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_train_is_taken_where_it_is_said_and_so_is_what_that_means(
    command: Command, source: ModelManifest, tmp_path: Path
) -> None:
    rows = evaluations.cases(40, "ours", split="train")
    folder = evaluations.write(tmp_path / "evaluation", rows, source)
    done = command(folder, "--show", "--split", "train", "--uncertain", "0.2")
    assert done.code == 0
    assert "trained on some of these cases" in done.out


def test_a_damaged_cell_is_named_and_the_rest_is_used(
    command: Command, source: ModelManifest, tmp_path: Path
) -> None:
    folder = evaluations.write(tmp_path / "evaluation", evaluations.cases(60, "ours"), source)
    table = folder / "vertebrae.csv"
    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
    at = lines[0].split(",").index("p_malignant")
    cells = lines[4].split(",")
    lines[4] = ",".join([*cells[:at], "nan", *cells[at + 1 :]])
    table.write_text("".join(lines), encoding="utf-8")
    done = command(folder, "--show", "--uncertain", "0.2")
    assert done.code == 0
    assert "line 5: p_malignant is no number" in done.err
    assert "unlike all it was taught): 1 of these" in done.out


def test_a_set_that_is_another_by_now_is_refused(
    command: Command, source: ModelManifest, tmp_path: Path
) -> None:
    rows = evaluations.cases(60, "ours")
    folder = evaluations.write(tmp_path / "evaluation", rows, source)
    manifest = source.directory / "manifest.toml"
    kept = manifest.read_text(encoding="utf-8")
    manifest.write_text(kept.replace('version = "1.0"', 'version = "1.1"'), encoding="utf-8")
    words = ("-o", tmp_path / "new", "--uncertain", "0.2")
    done = command(folder, *words)
    assert done.code == 4
    assert "is not the one that was evaluated" in done.err
    (tmp_path / "moved").mkdir()
    for file in source.directory.glob("*.onnx"):
        file.rename(tmp_path / "moved" / file.name)
    (tmp_path / "moved" / "manifest.toml").write_text(kept, encoding="utf-8")
    assert command(folder, *words, "--set", tmp_path / "moved").code == 0


def test_nothing_that_is_there_is_replaced(
    command: Command, source: ModelManifest, tmp_path: Path
) -> None:
    rows = evaluations.cases(60, "ours")
    folder = evaluations.write(tmp_path / "evaluation", rows, source)
    before = (source.directory / "manifest.toml").read_bytes()
    for place, says in (
        (source.directory, "a model set lies there already"),
        (folder, "something that is no model set lies there"),
        (tmp_path / "a name", "may only hold letters"),
    ):
        done = command(folder, "-o", place, "--uncertain", "0.2")
        assert (done.code, done.out) == (6, "")
        assert says in done.err
    assert (source.directory / "manifest.toml").read_bytes() == before
    (tmp_path / "empty").mkdir()
    assert command(folder, "-o", tmp_path / "empty", "--uncertain", "0.2").code == 0


def test_without_a_place_or_a_look_it_is_wrong_usage(command: Command, tmp_path: Path) -> None:
    done = command(tmp_path, "--uncertain", "0.2")
    assert done.code == 2
    assert "give -o for the new model set, or --show" in done.err


def test_the_manifest_is_read_by_any_toml_reader(
    command: Command, source: ModelManifest, tmp_path: Path
) -> None:
    """And is the source's, but for what was chosen and the file names."""
    folder = evaluations.write(tmp_path / "evaluation", evaluations.cases(60, "ours"), source)
    assert command(folder, "-o", tmp_path / "new", "--uncertain", "0.2").code == 0
    old, new = (
        tomllib.loads((place / "manifest.toml").read_text(encoding="utf-8"))
        for place in (source.directory, tmp_path / "new")
    )
    for before, after in zip(old["network"], new["network"], strict=True):
        after.pop("calibration", None)
        for table in (before["parameters"], after["parameters"]):
            table.pop("threshold_malignant", None)
            table.pop("threshold_osteoporotic", None)
        assert after == before
