"""Half by parts: what is cast, what is refused, and that nothing else changes."""

import pytest
import torch
from torch import nn

from edgeseg.engine.half_module import check_types, to_half
from edgeseg.errors import BuildError
from tests.kit.deploy import Toy, toy_backend

X = (torch.arange(0, 48.0).reshape(1, 3, 4, 4) / 48,)


class Small(nn.Module):
    """Two convolutions, the first with batch normalization, and a mean between them."""

    def __init__(self, pool):
        super().__init__()
        torch.manual_seed(0)
        self.one = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.norm.running_mean, self.norm.running_var = torch.rand(8), 1 + torch.rand(8)
        self.pool = pool
        self.two = nn.Conv2d(8, 2, 1)
        self.eval()

    def forward(self, x):
        y = self.two(self.pool(torch.relu(self.norm(self.one(x)))))
        return (y.float(),)


class Mean(nn.Module):
    def forward(self, x):
        return x.mean((2, 3), keepdim=True)


def lowered(module, half):
    with torch.no_grad():
        typed = to_half(module, frozenset(half), X, prefix="")
        return typed, torch.export.export(typed, X)


def test_a_convolution_is_half_and_a_mean_float():
    typed, program = lowered(Small(nn.AdaptiveAvgPool2d(1)), ["one", "two"])
    assert check_types(program, frozenset(["one", "two"]), prefix="") == 2
    assert typed.one.weight.dtype == typed.two.weight.dtype == torch.float16
    pools = [n for n in program.graph.nodes if "avg_pool" in str(n.target)]
    assert [n.meta["val"].dtype for n in pools] == [torch.float32]


def test_a_convolution_outside_of_half_stays_float():
    typed, program = lowered(Small(nn.Identity()), ["one"])
    assert check_types(program, frozenset(["one"]), prefix="") == 1
    assert typed.two.weight.dtype == torch.float32


def test_batch_normalization_goes_into_its_convolution():
    module = Small(nn.Identity())
    typed, program = lowered(module, [])
    assert not [n for n in program.graph.nodes if "batch_norm" in str(n.target)]
    with torch.no_grad():
        torch.testing.assert_close(typed(*X), module(*X), atol=1e-6, rtol=0)
    assert isinstance(module.norm, nn.BatchNorm2d)  # the given one is as it was


def test_the_answers_are_those_of_the_module_but_for_rounding():
    module = Small(nn.AdaptiveAvgPool2d(1))
    typed, _ = lowered(module, ["one", "two"])
    with torch.no_grad():
        difference = (typed(*X)[0] - module(*X)[0]).abs().max()
    assert 0 < difference < 2e-3


def test_a_mean_in_half_is_refused():
    _, program = lowered(Small(Mean()), ["one", "two"])
    with pytest.raises(BuildError, match="mean would compute in Half") as caught:
        check_types(program, frozenset(["one", "two"]), prefix="")
    assert caught.value.remedy == "--via onnx, or --precision fp32"


def test_a_convolution_that_the_module_lacks_is_refused():
    _, program = lowered(Small(nn.Identity()), ["one"])
    with pytest.raises(BuildError, match=r"1 convolutions have another type .* instance three"):
        check_types(program, frozenset(["one", "three"]), prefix="")


def test_outputs_in_half_are_refused():
    class Whole(Toy):
        """Its sigmoid follows the convolution's type, and so does its map, which stays as it is."""

        map_stride = 1

        def forward(self, x):
            return super().forward(x).repeat_interleave(4, 2).repeat_interleave(4, 3)

    backend = toy_backend(Whole())
    inputs = (torch.zeros(1, 48, 40, 3, dtype=torch.uint8), torch.zeros(1))
    half = frozenset(["conv", "end"])
    with torch.no_grad():
        typed = to_half(backend.module, half, inputs, prefix="detector.")
        program = torch.export.export(typed, inputs)
    with pytest.raises(BuildError, match="would"):
        check_types(program, half, prefix="detector.")


def test_normalization_of_a_convolution_that_others_read_is_refused():
    class Shared(Small):
        def forward(self, x):
            y = self.one(x)
            return (self.two(self.norm(y)) + self.two(y),)

    with torch.no_grad(), pytest.raises(BuildError, match="the model's map differs by"):
        to_half(Shared(nn.Identity()), frozenset(), X, prefix="")
