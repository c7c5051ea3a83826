"""Many studies while the service is killed at random, far more than a test may take:

    python -m tests.service.kill_campaign --studies 1000 --kills 100

Real are the service, its analysing process, the queue, DCMTK's storescu as scanners and storescp as
the archive; the analysis is `fake_chain`. Scanners repeat a study that was not taken, as PACS do.
The archive is asked at the end: every study must be there with one whole set of results, of one run
of the chain. Beside each kill of the service, one in four kills its analysing process alone.
"""

import argparse
import random
import subprocess
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil

from tests.service.fake_chain import OBJECTS
from tests.service.processes import Archive, Killable, free_port, killable, storescp
from tests.service.studies import write_study
from tests.waiting import eventually

SCANNERS = 4
_LOOK_S = 0.5


def main() -> None:
    options = _options()
    chance = random.Random(options.seed)
    print(f"seed {options.seed}", flush=True)
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = {}
        for number in range(options.studies):
            made[write_study(folder / "made" / f"{number}")] = folder / "made" / f"{number}"
        with storescp(folder / "archive") as archive:
            lost, doubled, facts = campaign(folder, archive, made, options.kills, chance)
    facts["minutes"] = round((time.monotonic() - began_s) / 60, 1)
    print(f"{options.studies} studies, {options.kills} kills: {lost} lost, {doubled} doubled")
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    raise SystemExit(bool(lost or doubled))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Studies lost and doubled under kills.")
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    return parser.parse_args()


def campaign(
    folder: Path, archive: Archive, made: dict[str, Path], kills: int, chance: random.Random
) -> tuple[int, int, dict[str, float]]:
    """Studies lost, studies doubled, and what else is worth knowing."""
    port = free_port()
    settings = {"destinations": [archive.destination()], "port": port, "quiet_s": 3.0}
    with (
        killable(folder, job_attempts=5, **settings) as service,
        ThreadPoolExecutor(SCANNERS) as scanners,
    ):
        service.start()
        sent = [scanners.submit(_send, port, path) for path in made.values()]
        for number in range(kills):
            _wait_for(sent, number * (len(made) - SCANNERS) // kills)
            time.sleep(chance.uniform(0, 1.2))
            if chance.random() < 0.25:
                _kill_analysis(service)
                time.sleep(chance.uniform(0, 0.5))
            service.kill()
            service.start(wait=chance.random() < 0.7)  # else killed again as it starts, maybe
        tries = sum(one.result() for one in sent)
        assert eventually(lambda: _settled(service, len(made))), service.entries()
        entries = service.entries()
        sets = archive.sets()
        facts: dict[str, float] = {
            "associations": tries,
            "jobs": len(entries),
            "done": sum(one.state == "done" for one in entries),
            "interruptions": sum(one.interruptions for one in entries),
            "deaths held against a study": sum(one.crashes for one in entries),
        }
    whole = [study for study in made if OBJECTS in sets.get(study, {}).values()]
    doubled = [study for study, runs in sets.items() if len(runs) > 1 or study not in made]
    return len(made) - len(whole), len(doubled), facts


def _settled(service: Killable, count: int) -> bool:
    """Asked seldom: the queue is long."""
    time.sleep(_LOOK_S)
    return service.settled(count)


def _wait_for(sent: Sequence[Future[int]], count: int) -> None:
    while sum(one.done() for one in sent) < count:
        time.sleep(0.05)


def _send(port: int, folder: Path) -> int:
    """How often it took until every image was taken."""
    command = ["storescu", "-aec", "VFX-EDGE", "+sd", "127.0.0.1", str(port), str(folder)]
    tries = 1
    while subprocess.run(command, capture_output=True, check=False).returncode:
        tries += 1
        time.sleep(0.3)
    return tries


def _kill_analysis(service: Killable) -> None:
    assert service.process is not None
    with suppress(psutil.Error):
        for below in psutil.Process(service.process.pid).children():
            below.kill()


if __name__ == "__main__":
    main()
