"""SGD and Adam with the settings of the papers, and their state in checkpoints."""

import pytest
import torch
from torch import nn

from edgeseg.recipes import TrainConfig
from edgeseg.training.optimizers import make_optimizer, optimizer_state, restore


def take_steps(layer, optimizer, steps):
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = group["base"]
        optimizer.zero_grad()
        (layer(torch.full((1, 2), float(step + 1))) ** 2).sum().backward()
        optimizer.step()


def fresh():
    torch.manual_seed(0)
    return nn.Linear(2, 1)


def names(layer):
    return {parameter: name for name, parameter in layer.named_parameters()}


def test_make_optimizer_of_each_paper():
    layer = fresh()
    sgd = make_optimizer([(layer, 0.4)], TrainConfig())
    assert type(sgd) is torch.optim.SGD
    group = sgd.param_groups[0]
    assert (group["base"], group["momentum"], group["weight_decay"]) == (0.4, 0.9, 1e-4)
    adam = make_optimizer([(layer, 1e-3)], TrainConfig(model="dskd"))
    assert type(adam) is torch.optim.Adam
    group = adam.param_groups[0]
    assert (group["base"], group["betas"], group["weight_decay"]) == (1e-3, (0.5, 0.999), 0.0)


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_restore_continues_as_without_interruption(kind):
    config = TrainConfig(optimizer=kind)
    whole = fresh()
    optimizer = make_optimizer([(whole, 0.01)], config)
    take_steps(whole, optimizer, 2)
    state = {k: v.clone() for k, v in optimizer_state(optimizer, names(whole)).items()}
    assert all(key.endswith((".weight", ".bias")) for key in state) and state
    resumed = fresh()
    resumed.load_state_dict({k: v.clone() for k, v in whole.state_dict().items()})
    other = make_optimizer([(resumed, 0.01)], config)
    restore(other, names(resumed), state)
    without_state = fresh()
    without_state.load_state_dict({k: v.clone() for k, v in whole.state_dict().items()})
    take_steps(whole, optimizer, 3)
    take_steps(resumed, other, 3)
    for one, two in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)
    take_steps(without_state, make_optimizer([(without_state, 0.01)], config), 3)
    assert not torch.equal(without_state.weight, whole.weight)


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_restore_accepts_state_in_another_memory_layout(kind):
    def fresh_convolution():
        torch.manual_seed(0)
        return nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)

    def step(layer, optimizer):
        optimizer.param_groups[0]["lr"] = 0.01
        optimizer.zero_grad()
        picture = torch.linspace(-1, 1, 2 * 5 * 5).view(1, 2, 5, 5)
        (layer(picture) ** 2).sum().backward()
        optimizer.step()

    config = TrainConfig(optimizer=kind)
    whole, resumed = fresh_convolution(), fresh_convolution()
    optimizer = make_optimizer([(whole, 0.01)], config)
    step(whole, optimizer)
    state = {k: v.clone().contiguous() for k, v in optimizer_state(optimizer, names(whole)).items()}
    resumed.load_state_dict({k: v.clone() for k, v in whole.state_dict().items()})
    other = make_optimizer([(resumed, 0.01)], config)
    restore(other, names(resumed), state)
    step(whole, optimizer)
    step(resumed, other)
    for one, two in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)
