"""Scripts with loops and branches: what is right for every image is exported, the rest refused."""

import warnings

import pytest

pytest.importorskip("torch")

import torch

from export.torchscript import DecidesByValues, FixedBatch, to_program
from tests.export.nets import TinyNet, shaken

PATCH = (6, 8, 4)


class Loops(TinyNet):
    """As nets have them: over layers, a number of rounds, the axes of the patch, a list."""

    def forward(self, x):
        x = self.norm(self.first(x))  # InstanceNorm: a loop over the axes, to check them
        kept: list[torch.Tensor] = []
        for turn in range(3):
            x = x + 0.1 * torch.tanh(x) * turn
            kept.append(x)
        kept.reverse()
        while len(kept) > 1:
            x = x + kept.pop(0)
        for axis in range(2, x.dim()):
            if x.shape[axis] > 4:
                x = x + x.mean(axis, keepdim=True)
        return self.last(x).flatten(2).mean(2).view(x.size(0), -1)


class Sizes(TinyNet):
    """A trace of it reckons sizes in tensors without axes."""

    def forward(self, x):
        x = self.last(self.first(x))
        n, channels, depth = x.shape[:3]
        return x.reshape(n, channels * (depth // 2), -1).mean(2).reshape(n, -1)


class ByValue(TinyNet):
    def forward(self, x):
        if bool(x.mean() > 0.5):
            x = x * 2
        return self.last(self.first(x)).mean((2, 3, 4))


class OneByOne(TinyNet):
    def forward(self, x):
        answers = []
        for i in range(x.shape[0]):
            answers.append(self.last(self.first(x[i])).mean((1, 2, 3)))
        return torch.stack(answers)


def scripted(network: torch.nn.Module) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(shaken(network))


def traced(network: torch.nn.Module) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(shaken(network), torch.randn(2, 1, *PATCH))


@pytest.mark.parametrize("module", [scripted(Loops()), traced(Sizes())], ids=["script", "trace"])
def test_loops_unroll_sizes_are_numbers_and_the_batch_stays_free(module) -> None:
    program = to_program(module, torch.randn(2, 1, *PATCH), "loops")
    for n, scale in ((1, 5.0), (3, 0.1)):
        patches = scale * torch.randn(n, 1, *PATCH) + 1
        with torch.no_grad():
            torch.testing.assert_close(program.module()(patches), module(patches))


@pytest.mark.parametrize(
    ("network", "refused", "says"),
    [
        (ByValue(), DecidesByValues, "by the image's own values"),
        (OneByOne(), FixedBatch, "max = 1"),
    ],
)
def test_what_is_not_the_same_for_every_image_is_refused(network, refused, says, capfd) -> None:
    with pytest.raises(refused, match=says):
        to_program(scripted(network), torch.randn(2, 1, *PATCH), "net.pt")
    assert capfd.readouterr() == ("", ""), "torch's own log of the graph"


def test_a_script_for_one_image_at_a_time_is_exported_for_one() -> None:
    module, patch = scripted(OneByOne()), torch.randn(1, 1, *PATCH)
    program = to_program(module, patch, "net.pt")
    torch.testing.assert_close(program.module()(patch), module(patch))
