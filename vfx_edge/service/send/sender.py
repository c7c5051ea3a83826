"""Sends results, a thread for each destination: one that is down holds up neither the others nor
the analysis."""

from collections.abc import Callable, Sequence
from pathlib import Path

from vfx_edge.outputs.kinds import dicom_files
from vfx_edge.service.loop import Dead, Done, Later, Loop, Outcome, is_hopeless
from vfx_edge.service.send.transmit import NeverTaken, NotSent, transmit
from vfx_edge.service.settings import Destination, Settings
from vfx_edge.service.store.queue import OPEN, Entry, Queue
from vfx_edge.service.store.results import left_out
from vfx_edge.service.store.spool import Spool

Transmit = Callable[[Destination, Sequence[Path], str], None]


class Sender:
    """What is done with an entry of the sends' queue that is meant for one destination."""

    def __init__(
        self,
        settings: Settings,
        destination: Destination,
        spool: Spool,
        sends: Queue,
        send: Transmit = transmit,
    ) -> None:
        self._settings = settings
        self._destination = destination
        self._spool = spool
        self._send = send
        self.loop = Loop(sends, self.do, destination.name)

    def do(self, entry: Entry) -> Outcome:
        """One transmission; a failed one is begun again from the first object."""
        results = self._spool.results_of(entry.job)
        if results is None:
            return Dead("The results are no longer in the spool: send the study again.")
        files = dicom_files(results, self._destination.outputs)
        try:
            self._send(self._destination, files, self._settings.ae_title)
        except NeverTaken as error:
            return Dead(f"{self._destination.name}: {error}.")
        except NotSent as error:
            return self._later(entry, f"{self._destination.name}: {error}.")
        except OSError as error:
            words = error.strerror or type(error).__name__
            return self._later(entry, f"{self._destination.name}: {words}.")
        except Exception as error:  # noqa: BLE001  its words may hold what is in the object
            return self._later(entry, f"{self._destination.name}: {type(error).__name__}.")
        if missing := left_out(results):  # all there is was sent, and that is to be seen
            return Dead(missing)
        return Done()

    def _later(self, entry: Entry, reason: str) -> Outcome:
        if is_hopeless(entry, self._settings.give_up_s):
            return Dead(reason)
        return Later(reason, self._settings.backoff_s(entry.attempts))


def bury_the_unmeant(settings: Settings, sends: Queue) -> None:
    """At start-up: transmissions to destinations that are no longer configured."""
    names = {destination.name for destination in settings.destinations}
    for entry in sends.entries():
        waiting = entry.state in OPEN
        if waiting and entry.destination not in names:
            sends.give_up(entry.key, f"{entry.destination} is no longer among the destinations.")
