"""The service as a process of its own, with the chain of `fake_chain`: to be killed.

    python fake_service.py WATCHED '{"spool": …, "port": …}'

Without a port it has no DICOM node. Everything but the analysis is the product's own. The results'
UIDs are new at every run of the chain, so a study that was analysed and sent twice shows in the
archive.
"""

import json
import logging
import os
import sys
from pathlib import Path

from vfx_edge.errors import VfxError
from vfx_edge.service.analyse.parent import ChildChain
from vfx_edge.service.daemon import Part, Service, ThreadPart, serve, workers
from vfx_edge.service.receive.listener import Listener
from vfx_edge.service.receive.watcher import Watcher
from vfx_edge.service.settings import load_settings


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    watched, config = Path(sys.argv[1]), json.loads(sys.argv[2])
    settings = load_settings(None, config)

    def parts(service: Service) -> list[Part]:
        watcher = Watcher(watched, service.spool, service.completion, settings.quiet_s)
        node = [Listener(settings, service.spool)] if "port" in config else []
        return [ThreadPart("watcher", watcher.run), *node]

    limit_s, module = settings.analysis_limit_s, "tests.service.fake_chain"
    chains = [ChildChain({}, limit_s, module) for _ in range(workers(settings))]
    try:
        serve(settings, parts, chains, lambda: print("ready", flush=True))
    except VfxError as error:
        print(error, file=sys.stderr)
        os._exit(error.exit_code)
    os._exit(0)


if __name__ == "__main__":
    main()
