"""When a transmission is tried again, and of what."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from tests.service.stores import Store
from vfx_edge.service.queue_loop import Done, GivenUp, RetryLater
from vfx_edge.service.send.sender import Sender, Transmit, give_up_removed_destinations
from vfx_edge.service.send.transmit import NotAccepted, NotSent
from vfx_edge.service.settings import Destination, parse_destination
from vfx_edge.service.store.queue import Entry
from vfx_edge.service.store.results import note_missing_results

JOB = "a" * 24
SEND = Entry(key="k", job=JOB)


def analysed(store: Store, *results: str, missing: str = "") -> None:
    """A job with these results."""
    (store.root.parent / "ct").mkdir()
    store.spool.add_item(store.root.parent / "ct", JOB, study="x")
    with store.spool.new_results(JOB) as folder:
        for name in results:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).touch()
        if missing:
            note_missing_results(folder, missing)


def sender(
    store: Store, send: Transmit, kinds: tuple[Literal["sr", "seg", "sc"], ...] = ()
) -> Sender:
    """To A, as `send` does it."""
    to = Destination(name="A", ae_title="A", host="h", outputs=kinds)
    return Sender(store.settings(), to, store.spool, store.sends, send)


def test_retried_with_growing_waits_until_the_limit(store: Store) -> None:
    analysed(store, "sr.dcm")
    outcomes = [
        NotAccepted(["seg.dcm"]),
        NotSent("no"),
        OSError(5, "odd"),
        ValueError("Mustermann"),
        None,
    ]
    sent: list[Path] = []

    def send(_: object, files: Sequence[Path], __: str) -> None:
        error = outcomes.pop(0)
        if error is not None:
            raise error
        sent.extend(files)

    process = sender(store, send).process
    entry = replace(SEND, attempts=3)
    assert isinstance(process(entry), GivenUp)  # at once: asking again changes nothing
    assert process(entry) == RetryLater("A: no.", 40)
    assert process(entry) == RetryLater("A: odd.", 40)
    assert process(entry) == RetryLater("A: ValueError.", 40)
    assert process(entry) == Done()
    assert [path.name for path in sent] == ["sr.dcm"]
    outcomes.append(NotSent("no"))
    long_ago = time.time() - 86401
    early = replace(SEND, first_failed_at_s=long_ago, attempts=2)
    assert isinstance(process(early), RetryLater)  # the clock was set
    outcomes.append(NotSent("no"))
    assert process(replace(early, attempts=9)) == GivenUp("A: no.")
    store.spool.delete(JOB)
    assert isinstance(process(entry), GivenUp)


def test_what_could_not_be_made_is_told_when_the_rest_is_sent(store: Store) -> None:
    analysed(store, "sr.dcm", missing="seg.dcm can't be made: odd headers.")
    sent: list[Path] = []
    outcome = sender(store, lambda _, files, __: sent.extend(files)).process(SEND)
    assert outcome == GivenUp("seg.dcm can't be made: odd headers.")
    assert [file.name for file in sent] == ["sr.dcm"]


@pytest.mark.parametrize(
    ("kinds", "names"),
    [
        (("sr", "sc"), "kos.dcm 01-overview.dcm sr.dcm"),
        (("seg",), "seg.dcm"),
        ((), "kos.dcm 01-overview.dcm seg.dcm sr.dcm"),
    ],
)
def test_a_destination_gets_the_kinds_it_is_to_have(
    store: Store, kinds: tuple[Literal["sr", "seg", "sc"], ...], names: str
) -> None:
    analysed(store, "sr.dcm", "kos.dcm", "seg.dcm", "sc/01-overview.dcm", "result.json")
    sent: list[Path] = []
    sender(store, lambda _, files, __: sent.extend(files), kinds).process(SEND)
    assert " ".join(file.name for file in sent) == names


def test_transmissions_to_removed_destinations_are_given_up(store: Store) -> None:
    for name in ("A", "B"):
        store.sends.put(Entry(key=f"j@{name}", job="j", destination=name))
    stays = Destination(name="A", ae_title="A", host="h")
    give_up_removed_destinations(store.settings(destinations=(stays,)), store.sends)
    assert {entry.destination: entry.state for entry in store.sends.entries()} == {
        "A": "waiting",
        "B": "dead",
    }


@pytest.mark.parametrize("text", ["", "A", "A@h", "A@h:0", "A@h:70000", "@h:1", "A@:1", "A@h:x"])
def test_a_destination_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="AETITLE@HOST:PORT"):
        parse_destination(text)


def test_destinations_are_read_from_a_word() -> None:
    node = parse_destination("PACS@10.0.0.7:104")
    assert (node.ae_title, node.host, node.port) == ("PACS", "10.0.0.7", 104)
    assert parse_destination("https://pacs.example/dicom-web").url.startswith("https://")
