"""How a CPU likes its patches: one by one or in batches, in one stream or several."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from benchmarks import options
from benchmarks.batch_worker import PATCHES, Order
from benchmarks.processes import answer_of
from benchmarks.results import Kept

ROLES = ("segmenter", "finder", "classifier")
WAYS = (
    ("one at a time", 1, 1, True),
    ("two at once", 2, 1, True),
    ("four at once", 4, 1, True),
    ("four at once, size left open", 4, 1, False),
    ("one at a time, two streams", 1, 2, True),
)
"""Title, patches in a batch, streams, whether the size is compiled in; the first is what the
OpenVINO backend does."""


def command(
    rounds: Annotated[int, typer.Option(metavar="N", min=1, help="Processes of each way.")] = 3,
    passes: Annotated[int, typer.Option(metavar="N", min=2, help="Timed passes in each.")] = 4,
    isa: options.Isa = None,
) -> None:
    """Time per patch and memory for batches and streams of several sizes."""
    kept = Kept("batches", {"rounds": rounds, "passes": passes})
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for turn in range(rounds):  # in turns: what else the machine does hits all alike
        for role in ROLES:
            for title, batch, streams, fixed in WAYS:
                order = Order(role, batch, streams, fixed, passes)
                name = f"{role}, {title}, {turn + 1}"
                found = kept.point(name, answer_of, MODULE, asdict(order))
                rows.setdefault((role, title), []).append(found)
    kept.finish({"rows": [_row(*key, found) for key, found in rows.items()], "patches": PATCHES})


MODULE = "benchmarks.batch_worker"


def _row(role: str, title: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "role": role,
        "title": title,
        "pass_s": [second for run in runs for second in run["pass_s"]],
        **{name: [run[name] for run in runs] for name in ("open_s", "first_s", "grown_mib")},
    }
