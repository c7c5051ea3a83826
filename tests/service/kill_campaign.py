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
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil

from tests.service.fake_chain import OBJECTS
from tests.service.processes import Archive, Killable, free_port, killable, storescp
from tests.service.studies import write_study
from tests.waiting import eventually

SCANNERS = 4
AHEAD = 40
"""Scanners wait where so many of their studies have no results yet: so every kill meets studies
that come, wait, are analysed and are sent."""
_LOOK_S = 0.3


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
    settings = {"destinations": [archive.destination()], "port": port, "quiet_s": 1.5}
    with (
        killable(folder, job_attempts=5, **settings) as service,
        ThreadPoolExecutor(SCANNERS) as scanners,
    ):
        service.start()
        sent = [
            scanners.submit(_send, port, path, archive, number)
            for number, path in enumerate(made.values())
        ]
        for number in range(kills):
            _wait_for_results(archive, number * (len(made) - AHEAD) // kills)
            time.sleep(chance.uniform(0, 1.2))
            if chance.random() < 0.25:
                _kill_analysis(service)
                time.sleep(chance.uniform(0, 0.5))
            service.kill()
            service.start(wait=chance.random() < 0.7)  # else killed again as it starts, maybe
            print(f"{number + 1} kills", flush=True)
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


def _wait_for_results(archive: Archive, studies: int) -> None:
    """Until the archive has the results of so many."""
    while len(list(archive.folder.iterdir())) < studies * OBJECTS:
        time.sleep(_LOOK_S)


def _send(port: int, folder: Path, archive: Archive, number: int) -> int:
    """How often it took until every image was taken."""
    _wait_for_results(archive, number - AHEAD)
    command = ["storescu", "-aec", "VFX-EDGE", "+sd", "127.0.0.1", str(port), str(folder)]
    tries = 1
    while subprocess.run(command, capture_output=True, check=False).returncode:
        tries += 1
        time.sleep(_LOOK_S)
    return tries


def _kill_analysis(service: Killable) -> None:
    assert service.process is not None
    with suppress(psutil.Error):
        for below in psutil.Process(service.process.pid).children():
            below.kill()


if __name__ == "__main__":
    main()
