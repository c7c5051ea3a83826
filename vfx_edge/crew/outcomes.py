"""What comes of a study in another process, where it is no answer."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

MOST_WORDS = 2000
# What msgspec checks wherever a sentence is read back, from a process or a file.
Sentence = Annotated[str, Meta(pattern=r"^[^\x00-\x1f]*$", max_length=MOST_WORDS)]


@dataclass(frozen=True)
class Failed:
    """No answer, for this reason: a sentence that names no patient. died: its process ended, and
    not for the time that the study took, so that another go may fare better."""

    reason: str
    died: bool = False
