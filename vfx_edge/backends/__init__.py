"""Running networks: one file a runtime behind one small Protocol, and the choice among them.

with open_models(load_model_set("default"), "auto") as models:
    answer = models.network("segmenter").probabilities(patches)
models.backend      # what was asked for, what really ran, what was skipped and why
"""

from vfx_edge.backends.choose import open_models
from vfx_edge.backends.known import default_backends, probe_backends, probe_served
from vfx_edge.backends.network import class_probabilities
from vfx_edge.backends.opened import OpenModels
from vfx_edge.backends.protocol import Array, Availability, Backend, Budget, Network

__all__ = [
    "Array",
    "Availability",
    "Backend",
    "Budget",
    "Network",
    "OpenModels",
    "class_probabilities",
    "default_backends",
    "open_models",
    "probe_backends",
    "probe_served",
]
