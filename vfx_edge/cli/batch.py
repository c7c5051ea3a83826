"""`vfx-edge batch`: many studies into a folder of results each, and one summary."""

import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vfx_edge.cli import batch_source, engines, folders, options, parse
from vfx_edge.cli.progress import ShareProgress, TimeLeft
from vfx_edge.cli.show import people_console, printing, tell
from vfx_edge.cli.stopping import tidy_end
from vfx_edge.fracture_task import Options
from vfx_edge.tasks import DEFAULT
from vfx_edge.vocabulary import THORACOLUMBAR

if TYPE_CHECKING:
    from vfx_edge.batch.engine import Engine
    from vfx_edge.batch.run import Shard, State, Wanted
    from vfx_edge.batch.studies import Found
    from vfx_edge.manifest import Demand, ModelManifest

MOST_TOLD = 20
_SHARD = re.compile(r"([1-9][0-9]{0,4})/([1-9][0-9]{0,4})")

Out = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        metavar="OUT",
        help="Where the results go, a folder each in OUT/studies, and the summary: the same "
        "command again goes on from there.",
        readable=False,
    ),
]
ShardOf = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Only part I of N, 1/4 to 4/4: for machines or jobs of a cluster that share OUT.",
        show_default=False,
    ),
]
Summarise = Annotated[
    bool,
    typer.Option(
        "--summarise",
        help="Nothing is run: one summary of all that lies in OUT, whichever shard did it.",
    ),
]
Redo = Annotated[
    bool,
    typer.Option(
        "--redo",
        help="Where OUT holds results of another model set, version or other options: do them all "
        "again. Without it such a folder is refused.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, and no word at the end.")]


def batch(
    out: Out,
    source: batch_source.Source = None,
    query: batch_source.Query = None,
    dicomweb: batch_source.Access = None,
    model: options.Model = "default",
    model_digest: options.ModelDigest = None,
    model_key: options.ModelKey = None,
    backend: options.Backend = "auto",
    device: options.Device = 0,
    gpu_memory: options.GpuMemory = None,
    precision: options.Precision = "auto",
    levels: options.Levels = None,
    classify: options.Classify = "suspected",
    signs: options.Signs = False,
    explain: options.Explain = False,
    clinical: batch_source.Clinical = None,
    outputs: options.Outputs = None,
    language: options.Language = "en",
    workers: options.Workers = None,
    shard: ShardOf = None,
    summarise: Summarise = False,
    retry_failed: options.RetryFailed = False,
    redo: Redo = False,
    engine: engines.Engine = "processes",
    ray_address: engines.RayAddress = None,
    slurm: engines.Slurm = None,
    quiet: Quiet = False,
) -> None:
    """Triage many studies, as `run` does each, and sum them up.

    Networks stay open from study to study. A study that fails is listed with its reason and the
    rest goes on; stopped or killed, the same command goes on from there. Exit code 3 where not all
    were done.
    """
    part = _shard(shard)
    if summarise:
        _summarise(out, source, quiet)
        return
    if not source:  # "" is a variable that was not set, and no word for this very folder
        raise typer.BadParameter("name a list or a folder of studies, or give --summarise")
    given = batch_source.Given(source, query, dicomweb, clinical)
    asked = Options(
        levels=THORACOLUMBAR if levels is None else parse.level_range(levels),
        classify=parse.classify_choice(classify),
        signs=signs,
        explain=explain,
    )
    settings = {
        "request": parse.request(backend, device, gpu_memory, precision),
        "options": asked,
        "kinds": parse.output_kinds(outputs, DEFAULT),
        "language": parse.one_of(language, parse.LANGUAGES, "language of the report"),
    }
    settings |= {"shard": part, "retry_failed": retry_failed, "redo": redo, "workers": workers}
    demand = parse.demand(model_digest, model_key)
    wanted = _wanted(out, engines.chosen(engine, workers, ray_address, slurm), settings)
    with tidy_end():
        _do(given, model, demand, wanted, quiet)


def _wanted(out: Path, engine: "Engine", settings: dict[str, Any]) -> "Wanted":
    from vfx_edge.batch.run import Wanted
    from vfx_edge.crew.pool import default_workers
    from vfx_edge.outputs.kinds import chosen, defaults

    kinds, workers = settings["kinds"], settings["workers"]
    settings["kinds"] = chosen(defaults() if kinds is None else kinds)
    settings["workers"] = workers or default_workers()
    return Wanted(out=out, engine=engine, **settings)


def _shard(text: str | None) -> "Shard":
    from vfx_edge.batch.run import Shard

    if text is None:
        return Shard()
    named = _SHARD.fullmatch(text.strip())
    if not named or int(named[1]) > int(named[2]):
        raise typer.BadParameter(f"{text!r} is no part of a whole: write 1/4 to 4/4")
    return Shard(int(named[1]), int(named[2]))


def _do(
    given: batch_source.Given, model: str, demand: "Demand | None", wanted: "Wanted", quiet: bool
) -> None:
    from vfx_edge.batch.summary import write_sources
    from vfx_edge.manifest import load_model_set

    folders.check_writable(wanted.out)
    table = given.clinical_table()
    manifest = load_model_set(model, demand)
    found, known = given.found(wanted.out, table, quiet)
    wanted = wanted if known is None else replace(wanted, clinical=known)
    if not quiet:
        for problem in found.problems[:MOST_TOLD]:
            tell(f"vfx-edge: {problem}")
        if (more := len(found.problems) - MOST_TOLD) > 0:
            tell(f"vfx-edge: and {more} more paths that are no study to do")
    began = time.monotonic()
    states = _run(found, manifest, wanted, quiet)
    write_sources(wanted.out, found.studies)
    about = {
        "model": manifest.name,
        "shard": f"{wanted.shard.number} of {wanted.shard.of}" if wanted.shard.of > 1 else "",
        "problems": [{"place": p.place, "why": p.why, "lost": p.lost} for p in found.problems],
        "seconds": time.monotonic() - began,
        "workers": wanted.workers,
    }
    _sum_up(wanted.out, states, about, wanted.shard.suffix, quiet)


def _run(found: "Found", manifest: "ModelManifest", wanted: "Wanted", quiet: bool) -> "list[State]":
    from vfx_edge.batch.run import run

    left = TimeLeft()
    with ShareProgress(quiet) as progress:

        def on_study(done: int, every: int) -> None:
            words = f"{done} of {every} studies{left.words(done, every)}"
            progress.step(words, done / max(every, 1))

        return run(found, manifest, wanted, on_study)


def _summarise(out: Path, source: str | None, quiet: bool) -> None:
    if source is not None:
        raise typer.BadParameter("--summarise runs nothing: leave the list or folder out")
    from vfx_edge.batch.run import states_of

    facts, states = states_of(out)
    about = {"model": facts["model"], "shard": "", "problems": facts["problems"], "seconds": None,
             "workers": 0}  # fmt: skip
    _sum_up(out, states, about, "", quiet)


def _sum_up(
    out: Path, states: "list[State]", about: dict[str, Any], suffix: str, quiet: bool
) -> None:
    """The files, a few words, and StudiesFailed where not all is done."""
    from vfx_edge.batch.outcomes import Done
    from vfx_edge.batch.parquet import HINT, is_installed
    from vfx_edge.batch.run import StudiesFailed
    from vfx_edge.batch.summary import write_summary

    about |= {"ended_at": datetime.now(UTC).isoformat(timespec="seconds")}
    page = write_summary(out, states, about, suffix)
    if not quiet:
        _tell(states, page)
        if not is_installed():
            tell(f"vfx-edge: {HINT}")
    lost = sum(problem["lost"] for problem in about["problems"])
    undone = sum(not isinstance(state.outcome, Done) for state in states) + lost
    if undone:
        raise StudiesFailed(undone, len(states) + lost, page)


@printing()
def _tell(states: "list[State]", page: Path) -> None:
    from vfx_edge.batch.outcomes import Done
    from vfx_edge.batch.page import verdict_words

    console = people_console()
    done = [state.outcome for state in states if isinstance(state.outcome, Done)]
    console.print(f"{len(done)} of {len(states)} studies done")
    for tier, words in verdict_words().items():
        if count := sum(one.tier == tier for one in done):
            console.print(f"{count:>7}  {words}")
    console.print(f"Summary: {page}", soft_wrap=True)
