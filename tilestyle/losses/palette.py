"""The palette loss: color histograms of the canvas against the style's.

It is the sliced Wasserstein distance (stats/sliced_wasserstein.py) of colors, as they are and averaged over
2 x 2 and 4 x 4 pixels, relative to the mean square of the style's colors. With regions, each has its own
histograms. Like the moments, the canvas's histograms are those of the sweep before (docs/algorithm.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tilestyle.canvas.regions import CellWeights, RegionWeights
from tilestyle.devices.transfer import to_device
from tilestyle.distributed import Communicator
from tilestyle.geometry.boxes import Patch
from tilestyle.losses.stateful import Stateful
from tilestyle.networks.base import crop_cells
from tilestyle.stats.color_histograms import PatchColors, add_upsampled
from tilestyle.stats.sliced_wasserstein import (
    BINS,
    SCALES,
    Histogram,
    SlicedTarget,
    average_blocks,
    color_axes,
    count_histograms,
    normalized_histogram,
    transport_gradient,
)

ScaleHistograms = Mapping[int, Histogram]  # histograms by scale, for each of SCALES


@dataclass(frozen=True)
class PaletteTargets:
    """Targets and weights of the palette loss."""

    weight: float  # of the loss
    targets: Sequence[ScaleHistograms]  # the style's histograms, for each region
    energies: Sequence[float]  # mean square of the style's colors, for each region
    regions: RegionWeights | None
    device: torch.device


class PaletteLoss(Stateful):
    """The palette loss at one scale: histograms of the canvas, and transport maps to the style's."""

    def __init__(self, targets: PaletteTargets) -> None:
        self._targets = targets
        self._sliced = [
            {scale: SlicedTarget(histogram) for scale, histogram in of_region.items()}
            for of_region in targets.targets
        ]
        self._area_shares = targets.regions.area_shares if targets.regions else [1.0]
        self._histograms: dict[tuple[int, int], Histogram] = {}  # of the sweep before, by region and scale
        self._maps: dict[tuple[int, int], Tensor] = {}  # transport maps at those, [K, BINS]
        self._stacked_maps: dict[
            int, Tensor
        ] = {}  # on a device, by region: maps of all scales, [scales, K, BINS]
        self._value = 0.0
        self._reset_counts()

    def _reset_counts(self) -> None:
        shape = len(self._targets.targets), len(SCALES), len(color_axes().vectors), BINS
        self._counts = torch.zeros(shape, dtype=torch.int64, device=self._targets.device)
        self._maps_set = False

    @property
    def has_histograms(self) -> bool:
        """Whether there are histograms of an earlier sweep, as gradients need them."""
        return bool(self._maps)

    def own_state(self) -> dict[str, Tensor]:
        """Return the counts of the current sweep and the histograms of the sweep before."""
        histograms = {
            f"seen {region} {scale}": torch.from_numpy(x) for (region, scale), x in self._histograms.items()
        }
        return {"counts": self._counts, **histograms}

    def load_own_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `own_state`."""
        self._reset_counts()
        self._counts += state["counts"].to(self._counts)
        histograms: dict[tuple[int, int], Histogram] = {}
        for name, tensor in state.items():
            if name.startswith("seen "):
                region, scale = map(int, name.split(" ")[1:])
                histograms[region, scale] = tensor.numpy()
        self._set_histograms(histograms)

    def accumulate(self, pixels: Tensor, patch: Patch) -> None:
        """Count the colors of the pixels that a patch owns.

        Args:
            pixels: Pixels of the patch, [3, h, w] float32 on the network's device.
            patch: The patch.
        """
        if pixels.device.type == "cpu":
            self._count(pixels, patch, self._cell_weights(patch))
        else:
            self._count_on_device(PatchColors(pixels), patch, self._cell_weights(patch))

    def gradient(self, pixels: Tensor, patch: Patch, *, single_patch: bool) -> Tensor:
        """Count the colors of a patch, and compute the gradient in its pixels.

        Args:
            pixels: Pixels of the patch, [3, h, w] float32 on the network's device.
            patch: The patch.
            single_patch: Whether the patch covers the whole canvas. Then its own histograms are used.

        Returns:
            Gradient of weight x loss x number of canvas pixels in the patch pixels, [3, h, w].
        """
        under = self._cell_weights(patch)
        if pixels.device.type != "cpu":
            return self._gradient_on_device(pixels, patch, under, single_patch=single_patch)
        self._count(pixels, patch, under)
        if single_patch:
            self._set_histograms(self._current_histograms())
            self._maps_set = True
        total = torch.zeros_like(pixels)
        for scale in SCALES:
            cells = average_blocks(pixels, scale)
            for region in [0] if under is None else under.present:
                if (region, scale) not in self._maps:
                    continue
                slope = transport_gradient(cells, self._maps[region, scale])
                weights = under.of_region(region, scale) if under else None
                if weights is not None:
                    slope = slope * weights
                factor = self._targets.weight / (len(SCALES) * self._targets.energies[region])
                total.add_(_upsample_gradient(slope, scale, pixels), alpha=factor * patch.scale**2)
        return total

    def _gradient_on_device(
        self, pixels: Tensor, patch: Patch, cell_weights: CellWeights | None, *, single_patch: bool
    ) -> Tensor:
        """Do the same as `gradient`, in fewer kernels."""
        colors = PatchColors(pixels)
        self._count_on_device(colors, patch, cell_weights)
        if single_patch:
            self._set_histograms(self._current_histograms())
            self._maps_set = True
        factors = [
            self._targets.weight / (len(SCALES) * energy) * patch.scale**2 for energy in self._targets.energies
        ]
        if cell_weights is None and 0 in self._stacked_maps:
            return colors.gradient(self._stacked_maps[0], factors[0])
        total = torch.zeros_like(pixels)
        for region in [] if cell_weights is None else cell_weights.present:
            if region not in self._stacked_maps:
                continue
            for scale, slope in zip(
                SCALES, colors.transport_gradients(self._stacked_maps[region]), strict=True
            ):
                weights = cell_weights.of_region(region, scale) if cell_weights else None
                add_upsampled(total, slope if weights is None else slope * weights, scale, factors[region])
        return total

    def _count_on_device(self, colors: PatchColors, patch: Patch, cell_weights: CellWeights | None) -> None:
        """Do the same as `_count`, in fewer kernels."""
        boxes = [patch.owned_cells(scale) for scale in SCALES]
        for region in [0] if cell_weights is None else cell_weights.present:
            parts = [cell_weights.of_region(region, scale) if cell_weights else None for scale in SCALES]
            weights = [
                crop_cells(part[None, None], box)[0, 0]
                for part, box in zip(parts, boxes, strict=True)
                if part is not None
            ]
            colors.accumulate(self._counts[region], boxes, weights or None)

    def all_reduce(self, comm: Communicator) -> None:
        """Add the counts of all processes."""
        comm.all_reduce(self._counts)

    def reset_sums(self) -> None:
        """Reset the counts of the current sweep."""
        self._reset_counts()

    def use_exact_histograms(self) -> None:
        """Take the counts since the last sweep as the histograms for the coming sweep."""
        self._set_histograms({**self._histograms, **self._current_histograms()})
        self._reset_counts()

    def end_sweep(self, ema_decay: float) -> float:
        """End a sweep: its histograms make the gradients of the next.

        Args:
            ema_decay: Share of the earlier histograms in the new ones.

        Returns:
            The loss.
        """
        if not self._maps_set:
            current = self._current_histograms()
            for key, shares in current.items() if ema_decay else ():
                current[key] = ema_decay * self._histograms.get(key, shares) + (1 - ema_decay) * shares
            self._set_histograms({**self._histograms, **current})
        self._reset_counts()
        return self._value

    def _cell_weights(self, patch: Patch) -> CellWeights | None:
        """Return the weights of the regions under a patch; None without regions."""
        return (
            self._targets.regions.cell_weights(patch, self._targets.device) if self._targets.regions else None
        )

    def _count(self, pixels: Tensor, patch: Patch, cell_weights: CellWeights | None) -> None:
        """Count the colors of the pixels that a patch owns, for its regions and all scales."""
        for index, scale in enumerate(SCALES):
            box = patch.owned_cells(scale)
            cells = crop_cells(average_blocks(pixels, scale)[None], box)[0]  # [3, h, w]
            for region in [0] if cell_weights is None else cell_weights.present:
                weights = cell_weights.of_region(region, scale) if cell_weights else None
                part = None if weights is None else crop_cells(weights[None, None], box)[0, 0]
                self._counts[region, index] += count_histograms(cells, part)

    def _current_histograms(self) -> dict[tuple[int, int], Histogram]:
        """Return the histograms of the current counts, by region and scale, where there are any."""
        return {
            (region, scale): normalized_histogram(counts)
            for region, scales in enumerate(self._counts.cpu())
            for scale, counts in zip(SCALES, scales, strict=True)
            if counts[0].any()
        }

    def _set_histograms(self, histograms: dict[tuple[int, int], Histogram]) -> None:
        """Take these histograms, and compute the loss and the transport maps at them."""
        self._histograms, self._value = histograms, 0.0
        transport_maps: dict[tuple[int, int], Histogram] = {}
        for (region, scale), shares in histograms.items():
            value, transport_maps[region, scale] = self._sliced[region][scale].transport(shares)
            self._value += self._area_shares[region] * value / (len(SCALES) * self._targets.energies[region])
        if transport_maps:  # sent to a device in one piece
            stacked = to_device(
                torch.from_numpy(np.stack([*transport_maps.values()])).float(),
                self._targets.device,
                torch.float32,
            )
            self._maps |= dict(zip(transport_maps, stacked, strict=True))
        if self._targets.device.type != "cpu":
            self._stacked_maps = {
                region: torch.stack([self._maps[region, scale] for scale in SCALES])
                for region in range(len(self._targets.targets))
                if all((region, scale) in self._maps for scale in SCALES)
            }


def _upsample_gradient(cells: Tensor, scale: int, pixels: Tensor) -> Tensor:
    """Expand a gradient in cells of averaged pixels to the pixels.

    Each pixel gets its cell's value: averaging divides by scale^2, but there are scale^2 times fewer cells.

    Args:
        cells: Gradient, [3, h, w].
        scale: Pixels averaged into one cell, per axis.
        pixels: The pixels, [3, H, W]; their size counts, since H and W need not be multiples of scale.
    """
    if scale == 1:
        return cells
    height, width = pixels.shape[1:]
    # [3, h, w] -> [3, H, w] -> [3, H, W]
    return cells.repeat_interleave(scale, 1)[:, :height].repeat_interleave(scale, 2)[:, :, :width]
