"""`vfx-edge run` with everything behind it faked: what is printed and written, how it ends."""

import errno
import io
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.fake_backend import no_networks
from tests.outputs.fakes import example
from vfx_edge.backends import OpenModels
from vfx_edge.cli import main, progress
from vfx_edge.errors import BackendError, InputError, ModelError
from vfx_edge.spine.chain import ChainOptions
from vfx_edge.study import Analysis, BackendRequest, Coverage, Level, Tier
from vfx_edge.vocabulary import STAGES, STAGES_ON_REQUEST


@dataclass
class Fake:
    """Stands in for reading, opening and analysing; remembers what it was asked."""

    analysis: Analysis
    fails_at: str = ""
    failure: BaseException | None = None
    options: ChainOptions | None = None
    request: BackendRequest | None = None

    def _do(self, what: str) -> None:
        if self.failure is not None and what == self.fails_at:
            raise self.failure

    def load_scan(self, path: Path, series_uid: str | None = None, **more: object) -> object:
        self._do("read")
        return self.analysis.scan

    def load_model_set(self, name: str, demand: object = None) -> str:
        self._do("models")
        return name

    def roles(self, manifest: str, options: object) -> tuple[str, ...]:
        return ()

    def open_models(self, manifest: str, request: BackendRequest, **more: object) -> OpenModels:
        self._do("open")
        self.request = request
        return no_networks()

    def analyze(
        self, volume: object, models: object, options: ChainOptions, on_stage: Callable
    ) -> Analysis:
        self.options = options
        on_stage("locate")
        self._do("analyze")
        return self.analysis


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return example()


@pytest.fixture
def fake(analysis: Analysis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fake:
    made = Fake(analysis)
    monkeypatch.chdir(tmp_path)
    for place in (
        *("inputs.load_scan", "manifest.load_model_set"),
        *("backends.open_models", "spine.chain.analyze", "fracture_task.roles"),
    ):
        monkeypatch.setattr(f"vfx_edge.{place}", getattr(made, place.rpartition(".")[2]))
    return made


@pytest.fixture
def vfx(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    def call(*args: str) -> int:
        monkeypatch.setattr(sys, "argv", ["vfx-edge", *args])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return call


def test_verdict_comes_first_then_the_vertebrae(fake: Fake, vfx: Callable, capsys) -> None:
    assert vfx("run", "in", "--out", "out") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "MALIGNANT FRACTURE SUSPECTED: T10" in lines[0]
    assert fake.analysis.result.triage.recommendation in lines[1]
    assert "not for clinical use" in lines[2]
    rows = [line.split()[0] for line in lines if line.strip()]
    levels = [finding.vertebra.level.value for finding in fake.analysis.result.findings]
    assert [word for word in rows if word in levels] == levels
    assert str(Path("out") / "report.html") in lines[-1]
    assert set(Path("out").iterdir()) == {Path("out/report.html"), Path("out/result.json")}


def test_what_is_not_covered_and_other_names_are_said(fake: Fake, vfx: Callable, capsys) -> None:
    findings = tuple(
        replace(f, vertebra=replace(f.vertebra, alternatives=((Level.T11, 0.3),)))
        if f.vertebra.level is Level.T10
        else f
        for f in fake.analysis.result.findings
    )
    fake.analysis = replace(fake.analysis, result=replace(fake.analysis.result, findings=findings))
    assert vfx("run", "in", "--out", "out") == 0
    out = capsys.readouterr().out
    first = out.splitlines()[0]
    assert "SUSPECTED: T10 (or T11) (L5 could not be read: metal in or beside the" in first
    assert "Cut off by the edge of the scan and not judged: T6.\n" in out
    rows = {line.split("  ")[0].strip(): line for line in out.splitlines()}
    assert "malignant (malignant 0.94)" in rows["T10 or T11"]
    assert "cut off by the edge of the scan" in rows["T6"]
    assert "uncertain (level outside model range)" in rows["T12"]


def test_json_alone_on_standard_output(fake: Fake, vfx: Callable, capfdbinary) -> None:
    assert vfx("run", "in", "--out", "out", "--json") == 0
    shown = capfdbinary.readouterr()
    assert shown.out == Path("out/result.json").read_bytes()
    assert b"MALIGNANT" in shown.err


@pytest.mark.parametrize("refusal", [errno.EPIPE, errno.ENOSPC])
def test_a_standard_output_that_takes_nothing(
    fake: Fake, vfx: Callable, capfd, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    class Refusing(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr(sys, "stdout", Refusing())
    assert vfx("run", "in", "--out", "out") == 6
    assert "standard output can't be written" in capfd.readouterr().err
    assert Path("out/result.json").is_file()


def test_quiet_prints_only_the_verdict(fake: Fake, vfx: Callable, capsys) -> None:
    assert vfx("run", "in", "--quiet") == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 3
    assert shown.err == ""


def test_verbose_says_what_was_passed_over(fake: Fake, vfx: Callable, capsys) -> None:
    assert vfx("run", "in", "--verbose") == 0
    out = capsys.readouterr().out
    assert "passed over tensorrt: libnvinfer.so.10 was not found" in out
    assert "failed: tensorrt-rtx: the GPU was lost" in out
    assert fake.analysis.result.series.others[0].series_uid in out


def test_what_is_asked_of_the_machine(fake: Fake, vfx: Callable, capsys) -> None:
    asked = ("--backend", "CUDA", "--device", "1", "--gpu-memory", "5.5", "--precision", "FP16")
    assert vfx("run", "in", *asked) == 0
    assert fake.request == BackendRequest("cuda", "fp16", 1, 5.5)
    for nonsense in (("--device", "-1"), ("--gpu-memory", "nan"), ("--precision", "fp8")):
        assert vfx("run", "in", *nonsense) == 2
        assert nonsense[1] in capsys.readouterr().err


def test_seconds_of_reading_and_writing_are_added(fake: Fake, vfx: Callable) -> None:
    vfx("run", "in", "--out", "out")
    seconds = json.loads(Path("out/result.json").read_text("utf-8"))["run"]["seconds"]
    assert seconds["write"] > 0
    assert seconds["locate"] == fake.analysis.result.run.seconds["locate"]


@pytest.mark.parametrize(
    ("tier", "code"),
    [
        (Tier.MALIGNANT, 10),
        (Tier.UNCERTAIN, 11),
        (Tier.OSTEOPOROTIC, 12),
        (Tier.NOT_ASSESSABLE, 13),
        (Tier.NONE_SUSPECTED, 0),
    ],
)
@pytest.mark.parametrize("complete", [True, False])
def test_triage_exit_code(tier: Tier, code: int, complete: bool, fake: Fake, vfx: Callable) -> None:
    result = fake.analysis.result
    unread = () if complete else ((Level.L5, "metal"),)
    result = replace(
        result, triage=replace(result.triage, tier=tier, coverage=Coverage(unread=unread))
    )
    if tier is Tier.NONE_SUSPECTED and not complete:
        code = 14
    fake.analysis = replace(fake.analysis, result=result)
    assert vfx("run", "in", "--triage-exit-code", "--outputs", "json") == code
    assert vfx("run", "in", "--outputs", "json") == 0


@pytest.mark.parametrize(
    ("args", "levels", "classify"),
    [
        ([], ChainOptions().levels, "suspected"),
        (["--levels", "t12-L2"], (Level.T12, Level.T13, Level.L1, Level.L2), "suspected"),
        (["--levels", "L3"], (Level.L3,), "suspected"),
        (["--classify", "all"], ChainOptions().levels, "all"),
        (["--classify", "L2, T9"], ChainOptions().levels, (Level.T9, Level.L2)),
    ],
)
def test_what_is_looked_at(
    args: list[str], levels: tuple, classify: object, fake: Fake, vfx: Callable
) -> None:
    vfx("run", "in", "--outputs", "json", *args)
    assert fake.options is not None
    assert (fake.options.levels, fake.options.classify) == (levels, classify)
    assert not fake.options.explain, "nothing is explained unless it is asked for"


def test_explanations_are_asked_for(fake: Fake, vfx: Callable) -> None:
    vfx("run", "in", "--outputs", "json", "--explain")
    assert fake.options is not None
    assert fake.options.explain


@pytest.mark.parametrize(
    ("at", "failure", "code"),
    [
        ("read", type("E", (InputError,), {})("the scan\nis broken: take another"), 3),
        ("models", type("E", (ModelError,), {})("the model is broken: take another"), 4),
        ("open", type("E", (BackendError,), {})("the backend is broken: take another"), 5),
        ("analyze", type("E", (BackendError,), {})("the backend is broken: take another"), 5),
        ("analyze", KeyboardInterrupt(), 130),
    ],
)
def test_failures_are_one_sentence_and_leave_nothing(
    at: str, failure: BaseException, code: int, fake: Fake, vfx: Callable, capsys, tmp_path: Path
) -> None:
    fake.fails_at, fake.failure = at, failure
    assert vfx("run", "in", "--out", "out") == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == f"vfx-edge: {' '.join(str(failure).split()) or 'stopped'}.\n"
    assert not list(tmp_path.iterdir())


def test_a_bug_keeps_its_traceback(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.fails_at, fake.failure = "analyze", ZeroDivisionError("a bug")
    monkeypatch.setattr(sys, "argv", ["vfx-edge", "run", "in"])
    with pytest.raises(ZeroDivisionError):
        main()


def test_output_that_breaks_half_way_exits_6(fake: Fake, vfx: Callable, capsys) -> None:
    Path("out/report.html").mkdir(parents=True)
    assert vfx("run", "in", "--out", "out") == 6
    assert "report.html" in capsys.readouterr().err
    assert [path.name for path in Path("out").iterdir()] == ["report.html"]


def test_the_names_offered_are_those_of_the_library() -> None:
    """Written down twice, so that --help need not import what is heavy."""
    assert tuple(progress.STAGES) == STAGES
    assert tuple(progress.ON_REQUEST) == STAGES_ON_REQUEST
