"""A step of Adam in one kernel, against the dozen of torch."""

from __future__ import annotations

import pytest
import torch

from tilestyle.kernels.adam import BLOCK, AdamRates, adam_step, takes
from tilestyle.optim.adam import Adam

RATES = AdamRates(Adam().beta1, Adam().beta2, Adam().epsilon, 0.02)


@pytest.mark.parametrize("shared", [False, True])
def test_a_window_of_a_canvas_is_stepped_and_nothing_else(shared: bool) -> None:
    torch.manual_seed(0)
    planes = {name: torch.rand(3, 4, BLOCK + 40) for name in ("pixels", "first", "second")}
    planes["steps"] = torch.randint(0, 4, (1, 4, BLOCK + 40)).float()
    others = {name: plane.clone() for name, plane in planes.items()}
    ours, theirs = (
        {name: plane[:, 1:3, 5 : BLOCK + 30] for name, plane in each.items()} for each in (planes, others)
    )
    gradient = torch.randn(2, BLOCK + 25, 3).permute(2, 0, 1)
    share = torch.rand(1, 2, BLOCK + 25) if shared else None
    adam_step(ours, gradient, RATES, share)
    Adam().update(theirs, gradient, RATES.learning_rate, share)
    for name, plane in planes.items():
        torch.testing.assert_close(plane, others[name], rtol=1e-5, atol=2e-6)


def test_gathered_pixels_are_stepped() -> None:
    torch.manual_seed(0)
    window = {name: torch.rand(3, 50) for name in ("pixels", "first", "second")} | {"steps": torch.ones(1, 50)}
    other = {name: plane.clone()[:, None] for name, plane in window.items()}
    gradient = torch.randn(3, 50)
    adam_step(window, gradient, RATES, None)
    Adam().update(other, gradient[:, None], RATES.learning_rate)
    for name, plane in window.items():
        torch.testing.assert_close(plane, other[name][:, 0], rtol=1e-5, atol=2e-6)


def test_other_planes_are_left_to_torch() -> None:
    planes = {name: torch.rand(3, 4, 6) for name in ("pixels", "first", "second", "steps")}
    assert takes(planes)
    assert not takes({**planes, "pixels": planes["pixels"].double()})
    assert not takes({**planes, "first": planes["first"].mT})
