"""The report's HTML and SVG as tests read them."""

import re
from html.parser import HTMLParser

import numpy as np
from numpy.typing import NDArray

VOID = {"meta", "link", "input", "image", "path", "rect", "line", "circle", "use"}


class Page(HTMLParser):
    """Tags with attributes, and the text that is shown."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.shown: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.text = re.sub(r"\s+", " ", " ".join(self.shown))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"style", "title"}:
            self.shown.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def outline_points(path: str) -> list[NDArray[np.float64]]:
    """The corners of each closed line of an outline's path, picture mm; the first is the last."""
    lines = []
    for piece in path.split("M")[1:]:
        start, moves = piece.removesuffix("z").split("l")
        steps = np.array([*start.split(), *moves.split()], dtype=np.float64).reshape(-1, 2)
        line = steps.cumsum(axis=0)
        lines.append(np.concatenate([line, line[:1]]))
    return lines
