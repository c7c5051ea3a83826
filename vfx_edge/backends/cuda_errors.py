"""What the NVIDIA driver's error numbers mean, and what helps: cuda.h has the numbers."""

from typing import NamedTuple


class Meaning(NamedTuple):
    """In words, after "the NVIDIA driver ..."; and what to do about it."""

    words: str
    remedy: str


_FREE = "end the programs that use the card, or give a smaller --gpu-memory"
_RESTART = "restart the machine"
OUT_OF_MEMORY, NO_DEVICE, UNAVAILABLE = 2, 100, 46
MEANINGS = {
    OUT_OF_MEMORY: Meaning("has no memory left on the card", _FREE),
    3: Meaning("could not be initialised", _RESTART),
    34: Meaning(
        "is a stub that only helps to build programs",
        "take the CUDA toolkit's folder 'stubs' out of the library path",
    ),
    UNAVAILABLE: Meaning(
        "does not give the card to this program: another has it to itself, or it is set so",
        "end the other program, or allow several as administrator (nvidia-smi -c 0)",
    ),
    NO_DEVICE: Meaning(
        "shows no card",
        "see whether nvidia-smi lists it, and let this user (or container) read and write "
        "/dev/nvidia*",
    ),
    214: Meaning("found memory of the card that is broken", f"{_RESTART}; let the card be tested"),
    304: Meaning(
        "is not let at the card by the system",
        "let this user (or container) read and write /dev/nvidia*, or load the module nvidia-uvm "
        "(nvidia-modprobe -u -c 0)",
    ),
    719: Meaning("lost what it computed on the card", f"start again, or {_RESTART}"),
    802: Meaning("is not ready", "start NVIDIA's fabric manager"),
    803: Meaning(
        "has a library of another version than its kernel module, as after an update", _RESTART
    ),
    804: Meaning(
        "has a compatibility library that does not serve this card",
        "take CUDA's folder 'compat' out of the library path",
    ),
    999: Meaning("does not know what is wrong, as after standby or when a card was lost", _RESTART),
}


def told(status: int, function: str) -> str:
    """Why a call failed, in a part of a sentence."""
    known = MEANINGS.get(status)
    says = f"the NVIDIA driver answers error {status} to {function}"
    return f"the NVIDIA driver {known.words} (error {status} to {function})" if known else says


def remedy(status: int) -> str:
    """What helps."""
    known = MEANINGS.get(status)
    return known.remedy if known else _RESTART
