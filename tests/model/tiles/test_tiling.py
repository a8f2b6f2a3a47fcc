"""Tiles are slices of one picture, run as one batch, and joined without a seam."""

import numpy as np
import pytest
import torch
from torch import nn

from edgeseg.config import ExportConfig
from edgeseg.exporter.export import export_graph
from edgeseg.frame.tiles import Tiles
from edgeseg.loading import GRAPH_RUNTIMES
from edgeseg.model.fused import Fused
from edgeseg.model.input_check import COLUMNS, InputCheck
from edgeseg.model.tiles import tiling
from edgeseg.model.tiles.tiling import Tiling
from edgeseg.runtime.pytorch import PyTorchBackend
from tests.kit.cards import make_card
from tests.kit.deploy import Toy

SIDE = (32, 64)
GRIDS = [
    Tiles(rows=2, columns=3, overlap=(8, 16)),
    Tiles(rows=3, columns=1, overlap=(16, 0)),
    Tiles(rows=1, columns=2, overlap=(0, 32)),
    Tiles(rows=2, columns=2, overlap=(0, 0)),
]


class Green(nn.Module):
    """Answers with the green channel, at full size."""

    map_stride = 1

    def normalize(self, rgb):
        return rgb / 255

    def forward(self, x):
        return x[:, 1:2]


class Level(Green):
    """Answers with the mean of each tile, everywhere in it."""

    def forward(self, x):
        return x.mean(dim=(1, 2, 3), keepdim=True).expand(-1, 1, *SIDE)


def fuse(detector, tiles, frame_size=None, *, network=SIDE, top=4):
    return Fused(
        detector,
        network_size=network,
        frame_size=frame_size or (tiles.grid(network) if tiles else network),
        frame_format="rgb",
        aspect="stretch",
        top=top,
        tiles=tiles,
    )


def noise(size, count=1, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (count, *size, 3), np.uint8))


@pytest.mark.parametrize("tiles", GRIDS)
@pytest.mark.parametrize("frame_size", [None, (101, 187)])
def test_a_network_that_sees_single_pixels_answers_as_without_tiles(tiles, frame_size):
    """The frame is resized once: every bit of mask, score and map is the same."""
    size = frame_size or tiles.grid(SIDE)
    frames, threshold = noise(size, 2), torch.tensor([0.5])
    found = fuse(Green(), tiles, size)(frames, threshold)
    plain = fuse(Green(), None, size, network=tiles.grid(SIDE))(frames, threshold)
    assert 0 < found[0].float().mean() < 255
    for ours, theirs in zip(found, plain, strict=True):
        assert torch.equal(ours, theirs)


def test_from_one_tile_to_the_next_the_map_moves_in_even_steps():
    tiles = Tiles(rows=1, columns=2, overlap=(0, 16))
    frame = torch.zeros(1, *tiles.grid(SIDE), 3, dtype=torch.uint8)
    frame[:, :, 64:] = 255  # right of the overlap
    line = fuse(Level(), tiles)(frame, torch.tensor([0.5]))[2][0, 0]
    steps = line.diff()
    assert line[0] == 0 and line[-1] == 0.75 and (steps >= 0).all()
    assert steps.max() <= 0.75 / 16 + 1e-6


@pytest.mark.parametrize("limit", [1, 4, 100])
def test_pytorch_runs_a_few_tiles_at_once_and_answers_the_same(monkeypatch, limit):
    detector, tiles = Toy().eval(), GRIDS[0]
    sizes = []
    detector.register_forward_hook(lambda _, inputs, output: sizes.append(len(inputs[0])))
    module = fuse(detector, tiles)
    frames, threshold = noise(tiles.grid(SIDE), 2), torch.tensor([0.4])
    with torch.no_grad():
        expected = module(frames, threshold)
        monkeypatch.setattr(tiling, "AT_ONCE", limit)
        sizes.clear()
        found = module(frames, threshold)
    assert sum(sizes) == 12 and max(sizes) == min(limit, 12)
    assert torch.equal(found[0], expected[0])
    torch.testing.assert_close(found[2], expected[2], rtol=0, atol=1e-6)


@pytest.mark.parametrize("runtime", GRAPH_RUNTIMES)
def test_the_batch_gives_the_bytes_of_tile_by_tile(runtime, tmp_path):
    """The graph with tiles on a frame, and the graph without on each of its tiles."""
    tiles, frame = GRIDS[0], noise(GRIDS[0].grid(SIDE), 2).numpy()
    with opened(tmp_path / "tiles.onnx", tiles, runtime, batch=2) as graph:
        whole = run(graph, frame)
    with opened(tmp_path / "plain.onnx", None, runtime) as graph:
        for n in range(2):
            single = [run(graph, frame[n, b.rows, b.columns][None])[2] for b in tiles.boxes(SIDE)]
            joined = by_weights(np.concatenate(single), tiles)
            np.testing.assert_allclose(whole[2][n], joined, atol=1e-6)
            alone = np.s_[:24, :48]  # of the first tile, which no other overlaps
            np.testing.assert_array_equal(whole[2][n][alone], single[0][0][alone])
            threshold = np.float32(0.5)
            assert 0 < (joined > threshold).mean() < 1
            np.testing.assert_array_equal(whole[0][n], np.where(joined > threshold, 255, 0))


def by_weights(maps, tiles):
    """Join maps [T, h, w] by weights that sum to 1, another way than the module does."""
    total = np.zeros(tiles.grid(SIDE))
    for place, (one, box) in enumerate(zip(maps, tiles.boxes(SIDE), strict=True)):
        row, column = divmod(place, tiles.columns)
        down = ramp(SIDE[0], tiles.overlap[0], row, tiles.rows)
        right = ramp(SIDE[1], tiles.overlap[1], column, tiles.columns)
        total[box.rows, box.columns] += one * down[:, None] * right[None, :]
    return total


def ramp(side, shared, place, count):
    weights = np.ones(side)
    rising = (np.arange(shared) + 0.5) / max(shared, 1)
    if place > 0:
        weights[:shared] = rising
    if place < count - 1:
        weights[side - shared :] = 1 - rising
    return weights


def opened(path, tiles, runtime, batch=1):
    module = fuse(Toy(), tiles)
    card = make_card(*module.frame_size, batch=batch, frame_format="rgb", side=SIDE, tiles=tiles)
    torch.manual_seed(3)
    nn.init.normal_(module.detector.end.weight)
    export_graph(PyTorchBackend(module, card), path, ExportConfig())
    return GRAPH_RUNTIMES[runtime](path)


def run(graph, frame):
    slot = graph.new_slot()
    graph.bind(slot)
    slot.frame[:], slot.threshold[:] = frame, 0.5
    graph.run()
    return slot.mask.copy(), slot.score.copy(), slot.anomaly_map.copy()


def test_each_tile_has_its_gain():
    gains = (1.0, 0.5, 0.0, 0.25, 2.0, 1.0)
    tiles = Tiles(rows=2, columns=3, overlap=(0, 0), gains=gains)
    white = torch.full((2, *tiles.grid(SIDE), 3), 255, dtype=torch.uint8)
    _, score, found = fuse(Green(), tiles)(white, torch.tensor([0.5]))
    for gain, box in zip(gains, tiles.boxes(SIDE), strict=True):
        assert (found[:, box.rows, box.columns] == gain).all()
    assert score.tolist() == [2.0, 2.0]


class TwoMaps(Green):
    """Answers with one map, and with another one for the score."""

    def forward(self, x):
        return x[:, 1:2], x[:, 0:1]


def test_the_map_of_the_score_has_gains_of_its_own():
    tiles = Tiles(rows=1, columns=2, overlap=(0, 0), gains=(0.5, 0.5), score_gains=(1.0, 3.0))
    white = torch.full((1, *tiles.grid(SIDE), 3), 255, dtype=torch.uint8)
    mask, score, found = fuse(TwoMaps(), tiles)(white, torch.tensor([0.6]))
    assert (found == 0.5).all() and not mask.any() and score.item() == 3.0


class Pooled(Green):
    """Has a teacher of one level, the pixels themselves."""

    def __init__(self, size):
        super().__init__()
        self.teacher = lambda x: [x[:, :, ::4, ::4]]
        self.check = InputCheck([3], size)

    def forward(self, x, known):
        return known[0][:, 1:2].repeat_interleave(4, 2).repeat_interleave(4, 3)


@pytest.mark.parametrize("tiles", [GRIDS[0], GRIDS[3]])
def test_the_input_check_is_that_of_the_whole_frame(tiles):
    """Without an overlap, the mean over all tiles is that over the frame."""
    grid = tiles.grid(SIDE)
    frames, threshold = noise(grid, 2), torch.tensor([0.5])
    frames[1] //= 4
    found = fuse(Pooled(grid), tiles)(frames, threshold)[3]
    plain = fuse(Pooled(grid), None, grid, network=grid)(frames, threshold)[3]
    assert found.shape == (2, len(COLUMNS))
    atol = 1e-5 if tiles.overlap == (0, 0) else 0.2
    torch.testing.assert_close(found[:, :6], plain[:, :6])
    torch.testing.assert_close(found[:, 6], plain[:, 6], rtol=0, atol=atol)


def test_features_are_those_of_the_forward_pass():
    tiles = GRIDS[0]
    image = noise(tiles.grid(SIDE), 2).permute(0, 3, 1, 2).float()
    module = Tiling(tiles, SIDE)
    maps, _, means = module(image, lambda x: (x[:, 1:2], None, [x, x[:, :2]]))
    assert torch.equal(maps, image[:, 1:2])
    for ours, theirs in zip(means, module.features(image, lambda x: [x, x[:, :2]]), strict=True):
        assert torch.equal(ours, theirs) and ours.shape[2:] == (6, 1)
    tile = image[1, :2, 24:, 48:112].mean(dim=(1, 2))  # the second row and column
    torch.testing.assert_close(means[1][1, :, 1 * 2 + 1, 0], tile)
