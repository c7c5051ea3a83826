"""A worker process that plays the chain: `python -m tests.scoring.played_repeats`.

A study's file says how it answers; beside it stands what it was asked for.
"""

from tests.scoring.played_studies import Refused
from vfx_edge.bench.protocol import Order, Parent, serve
from vfx_edge.scoring.answers import Answer, Seen, Task
from vfx_edge.scoring.worker import answer_all


def _answer(task: Task) -> Answer:
    with task.path.with_suffix(".asked").open("a", encoding="utf-8") as stream:
        stream.write(f"{task.perturbation or '-'} ")
    how = task.path.read_text(encoding="utf-8")
    if task.perturbation and how == "is refused anew":
        raise Refused("the study")
    flipped = how == "is fickle" and bool(task.perturbation)
    tier = "osteoporotic" if flipped else "malignant"
    seen = Seen("L1", (0.0, 0.0, 0.0), suspected=True, p_malignant=0.9 - 0.8 * flipped, tier=tier)
    return Answer((seen,), (), tier)


def _work(order: Order, parent: Parent) -> None:
    answer_all(parent, _answer)


if __name__ == "__main__":
    serve(_work)
