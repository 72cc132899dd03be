"""Steps with gradients of their own, against autograd through the same formulas."""

import torch
from torch import Tensor

from tilestyle.networks.wavelet_ops import concat_with_abs, modulus, relu_projections


def noise(channels: int) -> Tensor:
    return torch.randn(2, channels, 3, 4, dtype=torch.float64, requires_grad=True)


def test_modulus() -> None:
    pair = noise(6)
    even, odd = pair.chunk(2, 1)
    torch.testing.assert_close(modulus(pair, 1e-3), (even**2 + odd**2 + 1e-6).sqrt())
    assert torch.autograd.gradcheck(lambda pair: modulus(pair, 1e-3), [pair])


def test_stacked() -> None:
    parts = [noise(channels) for channels in (2, 3, 1, 4, 5)]
    one, two, three, four, five = parts
    found = concat_with_abs([one], [two, three], [four, five])
    torch.testing.assert_close(found, torch.cat([one, two, three, two.abs(), three.abs(), four, five], 1))
    assert torch.autograd.gradcheck(lambda *p: concat_with_abs([p[0]], [p[1], p[2]], [p[3], p[4]]), parts)
    torch.testing.assert_close(concat_with_abs([], [two]), torch.cat([two, two.abs()], 1))


def test_hinges() -> None:
    picture, axes, offsets = (
        noise(3),
        torch.randn(5, 3, dtype=torch.float64),
        torch.randn(5, dtype=torch.float64),
    )
    found = relu_projections(picture, axes, offsets)
    wanted = (torch.einsum("kc,bchw->bkhw", axes, picture) + offsets[:, None, None]).relu()
    torch.testing.assert_close(found, wanted)
    assert torch.autograd.gradcheck(lambda picture: relu_projections(picture, axes, offsets), [picture])
