"""Mirrors edgeseg/model/head.py: a training fuses the constant view apart, to the same result."""

import pytest
import torch
from torch import nn

from edgeseg.model.head import Aspp


@pytest.mark.parametrize("size", [(2, 2), (3, 5), (9, 7)])
def test_both_ways_of_fusing_give_one_map_and_one_gradient(size):
    torch.manual_seed(0)
    aspp = Aspp(6, 4).double()
    for norm in aspp.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_mean, -1, 1)
            nn.init.uniform_(norm.running_var, 0.5, 2)
    aspp.eval()  # so that both normalize by the same statistics
    x = torch.randn(3, 6, *size, dtype=torch.float64)
    weights = torch.randn(3, 4, *size, dtype=torch.float64)
    found = []
    for training in (False, True):
        aspp.training = training
        own = x.clone().requires_grad_()
        fused = aspp(own)
        wanted = [own, *aspp.parameters()]
        found.append((fused, *torch.autograd.grad((fused * weights).sum(), wanted)))
    assert found[0][0].abs().max() > 0.1
    assert all(gradient.abs().max() > 0 for gradient in found[0][1:])
    for whole, apart in zip(*found, strict=True):
        torch.testing.assert_close(apart, whole)
