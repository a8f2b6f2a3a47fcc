"""Checks of training on CUDA: steps against the CPU's, and the commands of a run."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.gpu_check.finding import GpuFinding
from edgeseg.gpu_check.pytorch import cuda_torch

STEPS, SIDE, BATCH = 12, 128, 4
NEAR = 0.02  # relative, of the losses in BF16 of two devices
FALSE_REJECTS = 0.1
FALLS = 0.95  # the last loss of a phase, as a share of its first


def steps(*, device: str = "cuda", count: int = STEPS, side: int = SIDE) -> GpuFinding:
    """Train student and head on one batch, on the CPU, and twice on the GPU."""
    if device == "cuda":
        cuda_torch()
    expected, first, second = (_losses(d, count, side) for d in ("cpu", device, device))
    found, problems = [], []
    worst = again = 0.0
    for phase, ours in first.items():
        near = abs(ours[0] - expected[phase][0]) / abs(expected[phase][0])
        repeated = max(
            abs(a - b) / max(abs(a), 1e-9) for a, b in zip(ours, second[phase], strict=True)
        )
        worst, again = max(worst, near), max(again, repeated)
        found.append(f"{phase} {ours[0]:.4f} to {ours[-1]:.4f}")
        if not (np.isfinite(ours).all() and ours[-1] < FALLS * ours[0]):
            problems.append(f"the loss of the {phase} does not fall")
    if worst > NEAR:
        problems.append("the CPU differs")
    text = f"{', '.join(found)}; first losses differ from the CPU's by {worst:.2%}, the GPU's "
    text += f"between two runs by {again:.2%}" + "".join(f"; {each}" for each in problems)
    figures = {"cpu": expected, "gpu": first, "gpu_again": second}
    return GpuFinding(not problems, text, figures)


def _losses(device: str, count: int, side: int) -> dict[str, list[float]]:
    """Return the losses of each phase with random weights of a seed."""
    import torch

    from edgeseg.data.parts import draw_part
    from edgeseg.model.detectors import build_detector
    from edgeseg.model.teacher import Teacher
    from edgeseg.recipes import TrainConfig
    from edgeseg.training.batches import Batches
    from edgeseg.training.checkpoint import Checkpoint
    from edgeseg.training.phases import phases
    from edgeseg.training.step import Stepper, train_step

    torch.manual_seed(0)
    config = TrainConfig(
        model="destseg",
        profile="paper",
        image_size=side,
        batch=BATCH,
        student_steps=count,
        head_steps=count,
    )
    random = np.random.default_rng(0)
    images = [np.ascontiguousarray(draw_part(random)[:side, :side]) for _ in range(BATCH)]
    detector = build_detector("destseg", Teacher("resnet18"), config.to_json(), (side, side))
    detector.to(device)
    batches, losses = Batches(images, config), {}
    for phase in phases(detector, config, len(images)):
        stepper = Stepper(phase, detector, config, Checkpoint())
        batch: Any = batches.make(phase.index, 0)
        losses[phase.name] = [train_step(stepper, batch, step) for step in range(count)]
    return losses


def commands(*, device: str = "cuda") -> GpuFinding:
    """Train a small run with random teacher weights, evaluate it, export it, and compare both."""
    if device == "cuda":
        cuda_torch()
    from safetensors.torch import save_file

    from edgeseg.accuracy.verify import verify
    from edgeseg.config import ExportConfig, VerifyConfig
    from edgeseg.data.layouts import open_dataset
    from edgeseg.data.parts import write_parts
    from edgeseg.evaluation.evaluate import evaluate
    from edgeseg.evaluation.threshold import threshold_run
    from edgeseg.exporter.export import export_run
    from edgeseg.loading import open_model
    from edgeseg.model.teacher import Teacher
    from edgeseg.recipes import TrainConfig
    from edgeseg.training.train import train

    with tempfile.TemporaryDirectory(prefix="edgeseg-") as temporary:
        folder = Path(temporary)
        weights, run, data = folder / "teacher.safetensors", folder / "runs" / "r", folder / "parts"
        save_file(Teacher("resnet18").encoder.state_dict(), weights)
        config = TrainConfig(
            model="destseg",
            profile="edge",
            teacher="resnet18",
            teacher_weights=weights,
            image_size=96,
            batch=8,
            student_steps=30,
            head_steps=30,
            holdout=0.2,
            device=device,
        )
        dataset = open_dataset(write_parts(data, train=40, good=4, bad=2))
        card = train(dataset, config, run, preview=False)
        threshold_run(run, data, FALSE_REJECTS)
        with open_model(run) as model:
            used = model.name
            evaluation = evaluate(model, dataset).to_json()
        graph = export_run(run, ExportConfig(), data=data).graph
        compared = verify(run, graph, VerifyConfig(data=data / "test"))
    problems = compared.problems()
    if device not in used.lower():
        problems.append(f"evaluated on {used}")
    found = compared.comparison
    text = f"on {used}; map differs by {found.max_abs_diff:.2g} from ONNX Runtime on the CPU, "
    text += f"{found.flipped_verdicts} of {found.frames} verdicts flipped"
    text += "".join(f"; {each}" for each in problems)
    figures = compared.to_json() | {"trained_on": card.trained_on, "seconds": card.seconds}
    figures |= {"image_auroc": evaluation["image_auroc"]}
    return GpuFinding(not problems, text, figures)
