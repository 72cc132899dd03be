"""Adam on windows against torch's own on the whole."""

import torch

from tilestyle.canvas.canvas import Canvas
from tilestyle.geometry.boxes import canvas_extent
from tilestyle.geometry.rng import SweepRng
from tilestyle.geometry.sampling import grid_patches
from tilestyle.optim.adam import Adam


def test_windows_that_cover_everything_are_torchs_adam() -> None:
    around = canvas_extent(40, 56, 0, 8)
    start = torch.rand(3, 40, 56) * 0.2 + 0.4
    canvas = Canvas(around, start.clone())
    whole = start.clone().requires_grad_()
    reference = torch.optim.Adam([whole], lr=0.01, betas=(Adam.beta1, Adam.beta2), eps=Adam.epsilon)
    for sweep in range(12):
        gradient = torch.randn(3, 40, 56)
        whole.grad = gradient.clone()
        reference.step()
        for patch in grid_patches(around, 16, 8, SweepRng(0, 0, sweep)):
            for views, row, column in canvas.views(patch.owned):
                h, w = views["pixels"].shape[1:]
                rows = (torch.arange(patch.owned.top + row, patch.owned.top + row + h)) % 40
                columns = (torch.arange(patch.owned.left + column, patch.owned.left + column + w)) % 56
                Adam().update(views, gradient[:, rows][:, :, columns], 0.01)
    torch.testing.assert_close(canvas.pixels, whole.detach(), rtol=1e-5, atol=1e-6)


def test_unseen_pixels_stay_as_they_are() -> None:
    around = canvas_extent(8, 8, 0, 8)
    canvas, other = (Canvas(around, torch.full((3, 8, 8), 0.5)) for _ in range(2))
    seen = (torch.rand(1, 8, 8) > 0.5).float()
    gradient = torch.randn(3, 8, 8)
    before = {name: plane.clone() for name, plane in canvas.planes.items()}
    Adam().update(canvas.planes, gradient, 0.01, seen)
    Adam().update(other.planes, gradient, 0.01)
    for name, plane in canvas.planes.items():
        torch.testing.assert_close(plane, torch.where(seen > 0, other.planes[name], before[name]))


def test_every_pixel_counts_its_own_steps() -> None:
    around = canvas_extent(4, 8, 0, 4)
    canvas = Canvas(around, torch.full((3, 4, 8), 0.5))
    left = torch.zeros(1, 4, 8)
    left[..., :4] = 1
    gradient = torch.ones(3, 4, 8)
    for _ in range(5):
        Adam().update(canvas.planes, gradient, 0.01, left)
    Adam().update(canvas.planes, gradient, 0.01)
    # With its bias corrected, a constant gradient steps by the full rate whenever it comes.
    assert torch.allclose(canvas.pixels[..., 4:], torch.tensor(0.49))
    assert torch.allclose(canvas.pixels[..., :4], torch.tensor(0.44))
    assert canvas.steps[0, 0].tolist() == [6, 6, 6, 6, 1, 1, 1, 1]


def test_pixels_stay_in_range() -> None:
    canvas = Canvas(canvas_extent(4, 4, 0, 4), torch.full((3, 4, 4), 0.005))
    Adam().update(canvas.planes, torch.ones(3, 4, 4), 0.02)
    assert canvas.pixels.min() == 0
