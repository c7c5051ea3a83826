"""Colours on the dark page and in the pictures; the stylesheets and the captures take them here."""

from vfx_edge.outputs.vertebra_status import Status
from vfx_edge.study import Tier

INK, PAPER, SOFT, AMBER, MARK = "#eef1f4", "#0c0e11", "#aeb7c1", "#ffc233", "#ffe9a8"
"""Words, background, less important words, warnings, letters and scale over a CT."""
_FAINT, _GREY = "#6f7a86", "#c3cad2"
OF_STATUS: dict[str, str] = {
    Status.MALIGNANT: "#ff6b6b",
    Status.UNCERTAIN: AMBER,
    Status.OSTEOPOROTIC: "#7fb2ff",
    Status.SUSPECTED: AMBER,
    Status.NOT_ASSESSABLE: _GREY,
    Status.TRUNCATED: "#8d99a6",
    Tier.NONE_SUSPECTED: "#5fd08a",
    Status.UNREMARKABLE: "#8fa39a",
    Status.NOT_EXAMINED: _FAINT,
    Status.NOT_FOUND: _FAINT,
}
"""By status, and of a verdict without any suspicion."""
OF_OUTLINE = {"turn0": "#58c4dd", "turn1": "#c79bf2", "unknown": _GREY}
"""Of a vertebra that is not suspected: two in turn, and one that could not be assessed."""
FOR, AGAINST = "#ff8c1a", "#3d9bff"
"""Over a CT: what lies here speaks for malignant, or against it."""
