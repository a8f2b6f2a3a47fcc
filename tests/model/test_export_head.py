"""The head as it is exported: the outputs of training's head, with fewer MACs."""

import copy
from collections import Counter

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, interpolate, pad

from edgeseg.exporter.trace import trace
from edgeseg.graph.graph import Graph
from edgeseg.graph.modules import module_macs, node_macs
from edgeseg.model import export_head
from edgeseg.model.blocks import BasicBlock
from edgeseg.model.destseg import DeSTSeg
from edgeseg.model.dskd import DSKD
from edgeseg.model.export_head import (
    ExportHead,
    LevelConv,
    PooledBias,
    export_form,
    interpolation,
    moved_levels,
)
from edgeseg.model.fused import Fused
from edgeseg.model.head import Aspp, SegmentationHead
from edgeseg.model.similarity import SimilarityProduct
from edgeseg.model.teacher import Teacher

CHANNELS = [4, 8, 12]
WIDTH = 16


def settled(module):
    """The module in eval mode, with statistics and biases that are not trivial."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, std=0.2)
            nn.init.uniform_(layer.running_var, 0.2, 2.0)
            nn.init.uniform_(layer.weight, 0.5, 2.0)
            nn.init.normal_(layer.bias, std=0.3)
    return module.eval()


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(0)
        yield


def features(size, batch=1):
    height, width = size
    return [torch.randn(batch, c, height >> k, width >> k) for k, c in enumerate(CHANNELS)]


def borders_and_inside(found, expected):
    """Compare each border by itself: there the nine values and the padding differ."""
    assert expected.std() > 1e-2
    everywhere = slice(None)
    areas = [(0, everywhere), (-1, everywhere), (everywhere, 0), (everywhere, -1)]
    for area in [*areas, (slice(1, -1), slice(1, -1))]:
        place = (..., *area)
        torch.testing.assert_close(found[place], expected[place], atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("worth", [0.0, 1e9])
@pytest.mark.parametrize(
    ("batch", "size", "halved"),
    [(1, (24, 24), False), (3, (40, 24), False), (2, (24, 64), False), (2, (64, 48), True)],
)
def test_export_head_answers_as_the_head(monkeypatch, worth, batch, size, halved):
    monkeypatch.setattr(export_head, "WORTH", worth)
    similarity = SimilarityProduct(halved=halved)
    head = settled(SegmentationHead(sum(CHANNELS), WIDTH))
    teacher, student = features(size, batch), features(size, batch)
    shifts = (1, 1, 2) if halved else (0, 1, 2)
    sizes = [(size[0] >> shift, size[1] >> shift) for shift in shifts]
    exported = ExportHead(head, CHANNELS, sizes)
    coarser = [2] if halved else [1, 2]
    assert exported.moved == ([] if worth else coarser)
    found = exported(similarity.levels(teacher, student))
    borders_and_inside(found, head(similarity(teacher, student)))


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize(("fine", "coarse"), [(8, 4), (8, 2), (12, 3), (7, 3), (5, 1)])
def test_level_conv_at_every_position(fine, coarse, kernel):
    convolution = nn.Conv2d(8, 5, kernel, padding=kernel // 2)
    sizes = [(fine, 2 * fine), (coarse, 3 * coarse)]
    kept, level = torch.randn(2, 2, *sizes[0]), torch.randn(2, 6, *sizes[1])
    upsampled = interpolate(level, sizes[0], mode="bilinear", align_corners=False)
    found = LevelConv(convolution, [2, 6], sizes, [1])(kept, [level])
    borders_and_inside(found, convolution(torch.cat([kept, upsampled], dim=1)))


@pytest.mark.parametrize("side", [2, 3, 7, 24])
def test_pooled_bias_at_every_position(side):
    aspp = settled(Aspp(3, 5))
    x = torch.randn(2, 3, side, side + 5)
    borders_and_inside(PooledBias(aspp, (side, side + 5))(x), aspp(x))


def test_pooled_bias_by_hand():
    """Ones everywhere: four taps of three channels in a corner, six at an edge, nine inside."""
    bias = PooledBias(settled(Aspp(3, 3)), (4, 4))
    weight = torch.ones(1, 3, 3, 3)
    expected = conv2d(torch.ones(1, 3, 4, 4), weight, padding=1)[0, 0].flatten()
    nine = 3 * torch.tensor([4.0, 6, 4, 6, 9, 6, 4, 6, 4])
    torch.testing.assert_close(bias.get_buffer("regions") @ nine, expected)


@pytest.mark.parametrize(("fine", "coarse"), [(8, 4), (8, 2), (12, 3), (10, 4), (5, 3), (4, 1)])
def test_interpolation_is_pytorchs(fine, coarse):
    line = torch.randn(coarse)
    expected = interpolate(line[None, None], fine, mode="linear")[0, 0]
    torch.testing.assert_close(interpolation(fine, coarse, 1) @ line, expected)


def test_interpolation_of_three_taps_by_hand():
    """Two values on four places are 1, 3/4 : 1/4, 1/4 : 3/4, 1; the outer taps read one zero."""
    plain = torch.tensor([[4.0, 0], [3, 1], [1, 3], [0, 4]]) / 4
    left, right = pad(plain, (0, 0, 1, 0))[:-1], pad(plain, (0, 0, 0, 1))[1:]
    expected = torch.stack([left, plain, right], dim=2).reshape(4, 6)
    torch.testing.assert_close(interpolation(4, 2, 3), expected)


@pytest.mark.parametrize(
    ("side", "moved"), [(64, [2]), (32, [2]), (16, [1, 2])], ids=lambda value: str(value)
)
def test_moved_levels_are_those_that_are_worth_it(side, moved):
    block = BasicBlock(448, 256)
    sizes = [(side >> k, side >> k) for k in range(3)]
    assert moved_levels(block, [64, 128, 256], sizes) == moved


def test_moved_levels_decide_for_both_convolutions(monkeypatch):
    """Saved per MAC spent: 1.35 for the 3x3 alone, 0.75 for the 1x1, 1.25 for both."""
    for worth, moved in ((1.2, [1]), (1.3, [])):
        monkeypatch.setattr(export_head, "WORTH", worth)
        assert moved_levels(BasicBlock(8, 5), [2, 6], [(8, 8), (4, 4)]) == moved


def test_a_block_without_a_shortcut_convolution_moves_nothing():
    assert moved_levels(BasicBlock(448, 448), [8, 8, 8], [(64, 64), (32, 32), (16, 16)]) == []


def fused(detector, side=64, batch=1):
    return Fused(
        detector,
        network_size=(side, side),
        frame_size=(48, 80),
        frame_format="bgr",
        aspect="stretch",
        top=100,
    )


def dskd():
    return DSKD(Teacher("resnet18"), network_size=(64, 64), head=True, head_width=32)


def destseg(**settings):
    return DeSTSeg(Teacher("resnet18"), student_width=16, head_width=32, **settings)


DETECTORS = {
    "destseg": destseg,
    "stride 8": lambda: destseg(head_stride=8),
    "concatenation": lambda: destseg(head_input="concatenation"),
    "cosine": lambda: destseg(head_input="cosine"),
    "dskd": dskd,
}


@pytest.mark.parametrize("name", DETECTORS)
def test_export_form_answers_as_the_model_and_leaves_it_alone(name):
    module = fused(settled(DETECTORS[name]()))
    keys, head = list(module.state_dict()), module.detector.head
    exported = export_form(module)
    assert module.detector.head is head and list(module.state_dict()) == keys
    shared = {id(p) for p in module.parameters()} & {id(p) for p in exported.parameters()}
    assert len(shared) > 100  # teacher and students are not copied
    frame = torch.randint(0, 256, (2, 48, 80, 3), dtype=torch.uint8)
    for a, b in zip(exported(frame, torch.ones(1)), module(frame, torch.ones(1)), strict=True):
        # Features that are not normalized are large, and so is their rounding.
        atol, rtol = (1e-4, 5e-4) if name == "concatenation" else (2e-6, 1e-5)
        torch.testing.assert_close(a, b, atol=atol, rtol=rtol)


def test_export_form_of_a_model_without_a_head_is_the_model():
    module = fused(destseg(head=False, decoder=False))
    assert export_form(module) is module


def test_the_graph_has_fewer_macs_and_no_helper_operation():
    similarity, head = SimilarityProduct(), settled(SegmentationHead(448, 256))

    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.similarity = head, similarity

        def forward(self, t1, t2, t3, s1, s2, s3):
            return self.head(self.similarity([t1, t2, t3], [s1, s2, s3]))

    class Exported(Plain):
        def __init__(self):
            super().__init__()
            self.head = ExportHead(copy.deepcopy(head), [64, 128, 256], [(16, 16), (8, 8), (4, 4)])

        def forward(self, t1, t2, t3, s1, s2, s3):
            return self.head(self.similarity.levels([t1, t2, t3], [s1, s2, s3]))

    levels = [torch.randn(1, c, 16 >> k, 16 >> k) for k, c in enumerate((64, 128, 256))] * 2
    names = ["t1", "t2", "t3", "s1", "s2", "s3"]
    with torch.inference_mode(False):
        models = [trace(m.eval(), tuple(levels), names, ["y"]) for m in (Plain(), Exported())]
    plain, exported = map(Graph, models)
    kinds = Counter(node.op_type for node in exported.nodes)
    assert not {"Shape", "Slice", "Identity", "Constant", "Expand", "Resize"} & set(kinds)
    assert (kinds["Conv"], kinds["MatMul"], kinds["Concat"]) == (16, 8, 3)
    assert module_macs(exported)["head"] < 0.85 * module_macs(plain)["head"]
    fusion = node_macs(plain)["head.aspp.0.fusion.0"] - node_macs(exported)["head.aspp.0.fusion"]
    assert fusion == 9 * 256 * 256 * 16 * 16
    feeds = {name: level.numpy() for name, level in zip(names, levels, strict=True)}
    found = [
        onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        ).run(None, feeds)[0]
        for model in models
    ]
    np.testing.assert_allclose(found[1], found[0], atol=2e-6)
