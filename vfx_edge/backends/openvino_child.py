"""The process that tries an INT8 file in 8 bits, started by `openvino_trial`: it may die of it.

Its order comes pickled on standard input; the answers go to standard output as float32.
"""

import os
import pickle
import sys
from contextlib import suppress

import numpy as np

from vfx_edge.backends.openvino_backend import OpenVinoBackend


def main() -> None:
    """One order."""
    with suppress(ImportError, OSError, ValueError):  # a crash here is no news
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    trial, patches = pickle.load(sys.stdin.buffer)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # native code may print
    both = OpenVinoBackend().answers(trial.spec, trial.onnx, trial.batch, trial.threads, patches)
    out.write(np.stack(both).tobytes())
    out.close()
    os._exit(0)


if __name__ == "__main__":
    main()
