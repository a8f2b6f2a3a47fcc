"""Checkpoints without weights, for tests of what surrounds a training."""

import numpy as np
from safetensors.numpy import save_file

from edgeseg.recipes import TrainConfig
from edgeseg.training.folder import FACTS, RESUME, Facts


def make_facts(**changes):
    """Facts of a training that was stopped after three steps."""
    values = {
        "phase": 0,
        "step": 3,
        "config": TrainConfig().to_json(),
        "data": "/photos",
        "split": {"train": {"good/a.png": "0" * 64}, "holdout": {}},
    }
    return Facts(**(values | changes))


def write_checkpoint(folder, **changes):
    """Write resume.safetensors with one small tensor."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = make_facts(**changes)
    save_file({"x": np.zeros(1)}, folder / RESUME, metadata={FACTS: facts.to_json()})
    return facts
