"""DSKD: its equations on vectors that can be counted, who learns, what each ablation leaves."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn.functional import interpolate

from edgeseg.model.dskd import DSKD, Downsampling, Embedding, discrepancy
from edgeseg.model.fused import Fused
from edgeseg.model.teacher import Teacher

STRUCTURES = ("ds", "t-e", "t-d", "e-d")


@pytest.fixture(scope="module")
def teacher():
    torch.manual_seed(0)
    return Teacher("resnet18")


def detector(teacher, **settings):
    torch.manual_seed(1)
    return DSKD(teacher, network_size=(64, 64), **settings)


def vectors(*positions):
    """[1, C, 1, n] of n vectors."""
    return torch.tensor(positions, dtype=torch.float32).T[None, :, None, :]


def test_the_discrepancy_of_known_vectors():
    """Equal directions, a right angle, 60 degrees, opposite ones, a zero vector; any length."""
    a = vectors([3.0, 0.0], [2.0, 0.0], [1.0, 0.0], [0.0, 5.0], [0.0, 0.0])
    b = vectors([7.0, 0.0], [0.0, 4.0], [0.5, 0.75**0.5], [0.0, -1.0], [1.0, 0.0])
    cosine = torch.tensor([0.0, 1.0, 0.5, 2.0, 1.0])
    euclidean = torch.tensor([0.0, 1.0, 0.5, 2.0, 0.5])  # half of the squared distance
    torch.testing.assert_close(discrepancy(a, b, 0.0).flatten(), cosine)
    torch.testing.assert_close(discrepancy(a, b, 0.1).flatten(), cosine + 0.1 * euclidean)


def test_lambda_only_scales_where_no_vector_is_zero():
    rng = torch.Generator().manual_seed(0)
    a, b = (torch.randn(2, 16, 4, 4, generator=rng) for _ in range(2))
    torch.testing.assert_close(discrepancy(a, b, 0.7), 1.7 * discrepancy(a, b, 0.0))


@pytest.mark.parametrize(("maps", "levels"), [("all", (0, 1, 2)), ("m1", (0,)), ("m23", (1, 2))])
def test_the_map_is_the_blurred_sum_of_the_upsampled_levels(teacher, maps, levels):
    found = detector(teacher, maps=maps).eval()
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        followed, follower = found.pairs(x)[-1]
        each = [discrepancy(followed[k], follower[k], 0.1) for k in levels]
        total = sum(interpolate(m, (64, 64), mode="bilinear") for m in each)
        full = found(x)
    # Far from the border, where the two differ in what they put beyond it.
    blurred = gaussian_filter(total[0, 0].numpy(), 4.0, truncate=8.0)
    assert full.shape == (1, 1, 64, 64)
    np.testing.assert_allclose(full[0, 0, 24:40, 24:40], blurred[24:40, 24:40], rtol=1e-3)


def test_the_score_may_have_levels_of_its_own(teacher):
    both = detector(teacher, score_maps="m23").eval()
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        found, scored = both(x)
        for maps, own in (("all", found), ("m23", scored)):
            alone = detector(teacher, maps=maps).eval()
            alone.load_state_dict(both.state_dict())
            torch.testing.assert_close(own, alone(x))


def test_a_constant_discrepancy_stays_constant_up_to_the_border(teacher, monkeypatch):
    monkeypatch.setattr(
        "edgeseg.model.dskd.discrepancy", lambda a, b, weight: torch.full_like(a[:, :1], 0.25)
    )
    full = detector(teacher).eval()(torch.rand(1, 3, 64, 64))
    torch.testing.assert_close(full, torch.full((1, 1, 64, 64), 0.75))


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("embedding", [True, False])
def test_every_structure_answers_like_its_teacher(teacher, structure, embedding):
    found = detector(teacher, structure=structure, embedding=embedding).eval()
    with torch.no_grad():
        pairs = found.pairs(torch.rand(2, 3, 64, 64))
    for followed, follower in pairs:
        assert [f.shape for f in followed] == [f.shape for f in follower]
    assert len(pairs) == (2 if structure in ("ds", "e-d") else 1)
    assert (found.student.encoder is None) == (structure == "t-d")
    assert (found.student.decoder is None) == (structure == "t-e")
    if structure != "t-e":
        assert type(found.student.embedding) is (Embedding if embedding else Downsampling)


def test_who_is_followed(teacher):
    x = torch.rand(1, 3, 64, 64)
    for structure in STRUCTURES:
        found = detector(teacher, structure=structure).eval()
        with torch.no_grad():
            expected = found.teacher(x)
            if structure == "e-d":
                expected = found.student.encoder(x)
            followed = found.pairs(x)[-1][0]
        for a, b in zip(followed, expected, strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_each_student_learns_from_its_own_pair_alone(teacher, structure):
    found = detector(teacher, structure=structure).eval()
    learners = {"ds": ["encoder", "decoder"], "t-e": ["encoder"], "t-d": ["decoder"]}
    for index, learner in enumerate(learners.get(structure, learners["ds"])):
        found.zero_grad()
        followed, follower = found.pairs(torch.rand(1, 3, 64, 64))[index]
        sum(
            discrepancy(a, b, 0.1).mean() for a, b in zip(followed, follower, strict=True)
        ).backward()
        moved = {n.split(".")[1] for n, p in found.named_parameters() if p.grad is not None}
        assert moved == ({"encoder"} if learner == "encoder" else {"embedding", "decoder"})


def test_the_embedding_is_an_eighth_of_the_finest_level(teacher):
    levels = [torch.rand(1, c, s, s) for c, s in ((24, 16), (40, 8), (112, 4))]
    for kind in (Embedding, Downsampling):
        assert kind([24, 40, 112]).eval()(levels).shape == (1, 512, 2, 2)
    coarse_only = Downsampling([24, 40, 112]).eval()
    changed = [torch.zeros_like(levels[0]), torch.zeros_like(levels[1]), levels[2]]
    torch.testing.assert_close(coarse_only(levels), coarse_only(changed))
    fused = Embedding([24, 40, 112]).eval()
    assert not torch.equal(fused(levels), fused(changed))


def test_the_matrices_are_not_in_the_weights(teacher):
    assert not [name for name in detector(teacher).state_dict() if name.startswith("smooth")]


def test_a_head_sharpens_the_map_and_leaves_the_score(monkeypatch):
    """Where the head sees nothing a twentieth of the discrepancy is left."""
    detector = DSKD(Teacher("resnet18"), network_size=(64, 64), head=True, head_width=16).eval()
    plain = DSKD(detector.teacher, network_size=(64, 64)).eval()
    plain.load_state_dict(detector.state_dict(), strict=False)
    x = torch.rand(1, 3, 64, 64)
    sure = torch.full((1, 1, 16, 16), 50.0)
    with torch.no_grad():
        apart = plain(x)
        for logits, factor in ((sure, 1.05), (-sure, 0.05)):
            monkeypatch.setattr(detector.head, "forward", lambda _, value=logits: value)
            sharpened, scored = detector(x)
            torch.testing.assert_close(sharpened, factor * apart)
            torch.testing.assert_close(scored, apart)


def test_a_map_of_roots_weighs_the_head_more_and_has_no_nan(monkeypatch):
    teacher = Teacher("resnet18")
    detector = DSKD(teacher, network_size=(64, 64), head=True, head_width=16, map_root=True).eval()
    apart = torch.linspace(-1e-6, 0.5, 4096).view(1, 1, 64, 64)
    monkeypatch.setattr(detector, "_full", lambda k, *_: apart / 3)
    monkeypatch.setattr(detector.head, "forward", lambda _: torch.full((1, 1, 16, 16), 50.0))
    with torch.no_grad():
        sharpened, scored = detector(torch.rand(1, 3, 64, 64))
    torch.testing.assert_close(sharpened, 1.05 * apart.clamp_min(0).sqrt())
    torch.testing.assert_close(scored, apart)


def test_the_fused_graph_takes_the_score_from_its_own_map(monkeypatch):
    detector = DSKD(Teacher("resnet18"), network_size=(64, 64), head=True, head_width=16).eval()
    answers = torch.full((1, 1, 64, 64), 0.25), torch.full((1, 1, 64, 64), 0.75)
    monkeypatch.setattr(detector, "forward", lambda x: answers)
    fused = Fused(
        detector,
        network_size=(64, 64),
        frame_size=(48, 40),
        frame_format="bgr",
        aspect="stretch",
        top=1,
    )
    frame = torch.zeros(1, 48, 40, 3, dtype=torch.uint8)
    mask, score, square = fused(frame, torch.tensor([0.5]))
    assert not mask.any() and score.item() == 0.75 and square.max() == 0.25
