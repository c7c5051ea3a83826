"""A worker that does what a test orders."""

import logging
import os
import sys
import threading

from vfx_edge.backends.errors import BackendUnavailable
from vfx_edge.bench.protocol import Order, Parent, serve


def work(order: Order, parent: Parent) -> None:
    print("printed, and no event")
    match order["do"]:
        case "count":
            for number in range(3):
                parent.wait()
                logging.getLogger("vfx_edge.backends").info("building %d", number)
                parent.report("counted", number=number)
        case "refuse":
            raise BackendUnavailable("no card", "buy one")
        case "break":
            raise RuntimeError("no such thing")
        case "crash":
            parent.report("engine", role="locator", seconds=1.5, precision="fp16")
            sys.stdout.flush()
            os.abort()
        case "hang":
            parent.report("engine", role="locator", seconds=2.5, precision="fp16")
            threading.Event().wait()


if __name__ == "__main__":
    serve(work)
