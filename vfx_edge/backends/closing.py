"""Closing what may be lost already: that can't be closed, and need not be."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol


class Closes(Protocol):
    """What holds something of a runtime's or a card's."""

    def close(self) -> object: ...


def close(held: Closes) -> None:
    """Close it; a failure must not hide what came before, be it a result or the first error."""
    with suppress(Exception):
        held.close()


@contextmanager
def closed_if_it_fails(held: Closes) -> Iterator[None]:
    """Close it where the block raises."""
    try:
        yield
    except Exception:
        close(held)
        raise
