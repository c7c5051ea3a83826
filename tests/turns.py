"""Tests run in several processes, but for those that measure time: they get the machine alone."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

_SAID_BY_XDIST = "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"
_LOCKS = Path(__file__).resolve().parents[1] / "build" / "turns"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    with _turn(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@contextmanager
def _turn(*, alone: bool) -> Iterator[None]:
    """Each process holds a lock of its own while a test runs; who wants to be alone takes all of
    them, and keeps the gate that the others have to pass before they begin the next."""
    mine, count = (os.environ.get(name) for name in _SAID_BY_XDIST)
    if mine is None:  # one process: everybody is alone
        yield
        return
    _LOCKS.mkdir(parents=True, exist_ok=True)
    names = [f"gw{number}" for number in range(int(count or 1))] if alone else [mine]
    with ExitStack() as held:
        with ExitStack() as gate:
            gate.enter_context(FileLock(_LOCKS / "gate"))
            for name in names:
                held.enter_context(FileLock(_LOCKS / name))
            if alone:
                held.push(gate.pop_all())
        yield


def port_block() -> range:
    """Ports for this process' tests, below those that the system gives to whoever asks for any."""
    number = int((os.environ.get("PYTEST_XDIST_WORKER") or "gw0").removeprefix("gw"))
    first = 20000 + 1500 * (number % 8)
    return range(first, first + 1500)
