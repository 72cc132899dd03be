"""Gradients that are affine in the features of a cell, as those of moments are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class AffineGradient:
    """A gradient W F + b at every cell of features F.

    It is two small tensors for all patches of a sweep. A network with kernels of its own adds it where it reads
    the features anyway (kernels/cells.py).

    Attributes:
        matrix: W [C, C], symmetric, in the dtype of the features.
        offset: b [C].
    """

    matrix: Tensor
    offset: Tensor

    def at(self, features: Tensor) -> Tensor:
        """Return the gradient at the cells of features, both [B, C, h, w].

        This is one matrix product over cells: a 1 x 1 convolution takes up to five times as long on a CPU.
        """
        cells = features.permute(0, 2, 3, 1)  # [B, h, w, C]
        flat = torch.addmm(self.offset, cells.reshape(-1, cells.shape[3]), self.matrix)  # [B h w, C]
        return flat.view(cells.shape).permute(0, 3, 1, 2)  # [B, C, h, w]
