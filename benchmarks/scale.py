"""Many studies on paper: what was measured of one, times what an archive holds; for docs/scale.md.
Nothing is measured here."""

from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Annotated, Any

import typer

from benchmarks import isa, results
from benchmarks.render import WANTED
from models.recipes.scorecard.render import replaced
from models.recipes.scorecard.table import table

PAGE = results.ROOT / "docs" / "scale.md"
SECTION = "paper"
CORES_EACH = 2
"""Of a worker: what one was measured with. More, which `batch` gives it, it would not fill."""
GIB_OS = 8.0
"""Of a node, for its system and for what it keeps of files."""
SPREAD = 1.3
"""Studies are not of one length, nodes not equally quick: the last ends so much later."""


@dataclass(frozen=True)
class Node:
    """A machine of the cluster, as it is assumed, and what goes into it."""

    cores: int = 32
    memory_gib: float = 128.0
    storage_gib_s: float = 1.0
    """What all nodes together read from the archive."""
    price: float = 0.04
    """Of a core for an hour, in any currency."""


@dataclass(frozen=True)
class Study:
    """What one takes. core_s: seconds of its cores, all of them counted."""

    core_s: float
    worker_gib: float
    scan_gib: float


@dataclass(frozen=True)
class Plan:
    """How long so many studies take on so many nodes."""

    studies: int
    nodes: int
    hours_cores: float
    hours_storage: float
    core_hours: float

    @property
    def hours(self) -> float:
        """Of whichever is slower."""
        return max(self.hours_cores, self.hours_storage)


def command(
    cores: Annotated[int, typer.Option(metavar="N", min=1, help="Of a node.")] = Node.cores,
    memory: Annotated[
        float, typer.Option(metavar="GIB", min=4, help="Of a node.")
    ] = Node.memory_gib,
    storage: Annotated[
        float, typer.Option(metavar="GIB", min=0.001, help="A second, of the archive to all nodes.")
    ] = Node.storage_gib_s,
    price: Annotated[
        float, typer.Option(metavar="P", min=0, help="Of a core for an hour.")
    ] = Node.price,
    print_only: Annotated[
        bool, typer.Option("--print", help="Do not write docs/scale.md.")
    ] = False,
) -> None:
    """Studies a day and an hour, nodes, storage and cost, from what `speed` has measured."""
    text = paper(Node(cores, memory, storage, price))
    if print_only:
        typer.echo(text)
    else:
        PAGE.write_text(replaced(PAGE.read_text("utf-8"), SECTION, text), encoding="utf-8")


def paper(node: Node) -> str:
    """Everything between the markers."""
    found = {cpu: results.flat(record) for cpu in WANTED if (record := results.read("speed", cpu))}
    assert all(record["threads"] == CORES_EACH for record in found.values()), "measure on two cores"
    parts = [_measured(found)]
    slowest = max((study_of(record["rows"][0]) for record in found.values()), key=_core_s)
    parts += [_assumed(node), _department(slowest), _archives(slowest, node)]
    return "\n\n".join(parts) + "\n"


def _core_s(study: Study) -> float:
    return study.core_s


def study_of(row: dict[str, Any]) -> Study:
    """From a row of `speed`: warm, with open networks, results written."""
    warm = row["warm"]
    return Study(
        median(warm["wall_s"]) * CORES_EACH,
        max(warm["peak_rss_mib"]) / 1024,
        row["input"]["int16_mib"] / 1024,
    )


def header_rate() -> float:
    """Files a second of one core whose headers are read for the first time (`looking`)."""
    record = results.read("looking")
    assert record is not None, "benchmarks/results/looking.json belongs to the repository"
    first = next(row for row in record["figures"]["rows"] if row["start"] == "first")
    return float(first["files"] / first["cpu_s"])


def workers(study: Study, node: Node) -> int:
    """How many fit into a node, by cores and by memory."""
    fit = int((node.memory_gib - GIB_OS) / study.worker_gib)
    return max(1, min(node.cores // CORES_EACH, fit))


def plan(studies: int, nodes: int, study: Study, node: Node) -> Plan:
    """By arithmetic alone: cores that are never idle but for `SPREAD`."""
    core_hours = studies * study.core_s / 3600
    busy = nodes * min(node.cores, workers(study, node) * CORES_EACH)
    hours_storage = studies * study.scan_gib / node.storage_gib_s / 3600
    return Plan(studies, nodes, core_hours / busy * SPREAD, hours_storage, core_hours)


def _measured(found: dict[str, dict[str, Any]]) -> str:
    rows = []
    for cpu, record in found.items():
        for row in record["rows"]:
            study = study_of(row)
            rows.append(
                (
                    isa.CLASSES[cpu],
                    f"`{row['name']}`",
                    f"{study.core_s:.1f}",
                    f"{3600 / study.core_s:,.0f}",
                    f"{study.worker_gib:.2f} GiB",
                )
            )
    head = ("processor", "CT", "core seconds a study", "studies an hour and core", "of a worker")
    days = sorted({record["measured_on"] for record in found.values()})
    return (
        f"{table(head, rows)}\n\nFrom `python -m benchmarks speed` of {' and '.join(days)} "
        "([machine](benchmarks.md#measured-on)): a process that runs, networks open; both cores "
        "that it may use count for as long as it takes, idle or not."
    )


def _assumed(node: Node) -> str:
    return (
        f"**Assumed:** nodes of {node.cores} cores and {node.memory_gib:g} GiB; an archive that "
        f"gives {node.storage_gib_s:g} GiB/s to all nodes together; {node.price:g} for a core and "
        f"hour; every study as the largest and slowest above; workers of "
        f"{CORES_EACH} cores (`--workers`, half as many as cores); the last one ends "
        f"{SPREAD - 1:.0%} after the mean. Yours: `python -m benchmarks scale --print --cores 64 "
        "--memory 256 --storage 2.5 --price 0.02`."
    )


SCANNERS, CTS_EACH, BUSIEST = 8, 60, 3.0
"""A department; how many times the mean of ten hours its busiest one is."""
DAY_HOURS = 10.0
IMAGES = 600
"""Of a study."""


def _department(study: Study) -> str:
    day = SCANNERS * CTS_EACH
    hour = day / DAY_HOURS * BUSIEST
    cores = hour * study.core_s / 3600
    bought = 2 * ceil(cores)
    return (
        f"**{SCANNERS} scanners.** {CTS_EACH} CTs of each a day are {day}: "
        f"{day * study.core_s / 3600:.1f} core hours. In the busiest hour, {BUSIEST:g} times the "
        f"mean of {DAY_HOURS:g} hours, {hour:.0f} studies keep {cores:.1f} cores busy: one "
        f"workstation of {bought} cores is then busy to {cores / bought:.0%}, and no "
        "GPU server is needed for the shipped networks."
    )


def _archives(study: Study, node: Node) -> str:
    asked = [(50_000, 10), (50_000, 100), (10_000_000, 100), (10_000_000, 1000)]
    rows = []
    for studies, nodes in asked:
        one = plan(studies, nodes, study, node)
        rows.append(
            (
                f"{studies:,}",
                str(nodes),
                str(nodes * workers(study, node)),
                _time(one.hours_cores),
                _time(one.hours_storage),
                _size(studies * study.scan_gib),
                _time(studies * IMAGES / header_rate() / 3600),
                f"{one.core_hours:,.0f}",
                f"{one.core_hours * node.price:,.0f}",
            )
        )
    head = ("studies", "nodes", "workers", "by the cores", "by the archive", "to read",
            "headers, one core", "core hours", "price")  # fmt: skip
    fastest = node.storage_gib_s / study.scan_gib
    enough = ceil(fastest * study.core_s * SPREAD / node.cores)
    return (
        f"{table(head, rows)}\n\nThe larger of the two times holds. Uncompressed, the archive "
        f"gives {fastest:.1f} studies a second, and {enough} such nodes are enough for them: more "
        "only wait. Lossless compression halves what is read, and a decoder's seconds come on top. "
        f"**Headers** are what finds the studies of a folder ({IMAGES} images each) at the first "
        "start, before any is analysed, by one process, beyond what the disks take; a server "
        "that is asked spares that."
    )


def _time(hours: float) -> str:
    if hours < 1:
        return f"{hours * 60:.0f} min"
    return f"{hours:.1f} h" if hours < 72 else f"{hours / 24:,.1f} d"


def _size(gib: float) -> str:
    return f"{gib / 1024:,.1f} TiB" if gib < 2**20 else f"{gib / 2**20:,.2f} PiB"
