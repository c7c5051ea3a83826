"""Sends results, in a thread for each destination: one that is down delays neither the others nor
the analysis."""

from collections.abc import Callable, Sequence
from pathlib import Path

from vfx_edge.outputs.kinds import dicom_files
from vfx_edge.service.queue_loop import Done, GivenUp, Outcome, QueueLoop, retry_until_limit
from vfx_edge.service.reasons import reason
from vfx_edge.service.send.transmit import NotAccepted, NotSent, transmit
from vfx_edge.service.settings import Destination, Settings
from vfx_edge.service.store.queue import OPEN, Entry, Queue
from vfx_edge.service.store.results import missing_results
from vfx_edge.service.store.spool import Spool

Transmit = Callable[[Destination, Sequence[Path], str], None]


class Sender:
    """Processes the transmissions to one destination."""

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
        self.loop = QueueLoop(sends, self.process, destination.name)

    def process(self, entry: Entry) -> Outcome:
        """One transmission; after a failure it begins again with the first object."""
        results = self._spool.results_of(entry.job)
        if results is None:
            return GivenUp("The results are no longer in the spool: send the study again.")
        files = dicom_files(results, self._destination.outputs)
        try:
            self._send(self._destination, files, self._settings.ae_title)
        except NotAccepted as error:
            return GivenUp(f"{self._destination.name}: {error}.")
        except NotSent as error:
            return retry_until_limit(entry, f"{self._destination.name}: {error}.", self._settings)
        except Exception as error:  # noqa: BLE001  a bug must not stop the other transmissions
            why = f"{self._destination.name}: {reason(error)}."
            return retry_until_limit(entry, why, self._settings)
        if missing := missing_results(results):  # the rest was sent
            return GivenUp(missing)
        return Done()


def give_up_removed_destinations(settings: Settings, sends: Queue) -> None:
    """At start-up: give up the transmissions to destinations that are no longer configured."""
    names = {destination.name for destination in settings.destinations}
    for entry in sends.entries():
        if entry.state in OPEN and entry.destination not in names:
            sends.give_up(entry.key, f"{entry.destination} is no longer among the destinations.")
