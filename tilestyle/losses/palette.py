"""The palette term: colours of the canvas against those of the style, one sweep old like its moments.

Sliced Wasserstein distances (sliced_wasserstein.py) of colours as they are and averaged over 2 x 2 and 4 x 4
pixels, of all of the canvas or of each of its regions, relative to the mean square of the style's colours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tilestyle.canvas.regions import Places, Regions
from tilestyle.devices.transfer import sent
from tilestyle.distributed import Ranks
from tilestyle.geometry.boxes import Patch
from tilestyle.losses.stateful import Stateful
from tilestyle.networks.base import inner
from tilestyle.stats.color_histograms import Colours, add_shown
from tilestyle.stats.sliced_wasserstein import (
    BINS,
    SCALES,
    Shares,
    averaged,
    counts_of,
    directions,
    shares_of,
    slope_at,
    transported,
)

Palette = Mapping[int, Shares]  # of each of the SCALES


@dataclass(frozen=True)
class Drawn:
    """How strongly a canvas is drawn to the palettes of its regions."""

    weight: float
    goals: Sequence[Palette]
    energies: Sequence[float]  # of the regions
    regions: Regions | None
    device: torch.device


class PaletteTerm(Stateful):
    """Histograms of the canvas, and the maps that take them to the style's."""

    def __init__(self, drawn: Drawn) -> None:
        self._drawn = drawn
        self._shares = drawn.regions.shares if drawn.regions else [1.0]
        self._seen: dict[tuple[int, int], Shares] = {}  # by region and scale: of the canvas, a sweep ago
        self._maps: dict[tuple[int, int], Tensor] = {}
        self._joined: dict[int, Tensor] = {}  # on a device, by region: of all scales, [scale, K, BINS]
        self._value = 0.0
        self._begin()

    def _begin(self) -> None:
        shape = len(self._drawn.goals), len(SCALES), len(directions().vectors), BINS
        self._counts = torch.zeros(shape, dtype=torch.int64, device=self._drawn.device)
        self._aimed = False

    @property
    def ready(self) -> bool:
        """Whether there are histograms of an earlier sweep to work with."""
        return bool(self._maps)

    def own_state(self) -> dict[str, Tensor]:
        """Return the statistics as tensors by name."""
        seen = {f"seen {region} {scale}": torch.from_numpy(x) for (region, scale), x in self._seen.items()}
        return {"counts": self._counts, **seen}

    def load_own_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `own_state`."""
        self._begin()
        self._counts += state["counts"].to(self._counts)
        seen: dict[tuple[int, int], Shares] = {}
        for name, tensor in state.items():
            if name.startswith("seen "):
                region, scale = map(int, name.split(" ")[1:])
                seen[region, scale] = tensor.numpy()
        self._aim(seen)

    def measure(self, pixels: Tensor, patch: Patch) -> None:
        """Count the colours [3, h, w] that a patch shows in, float32 on the device."""
        if pixels.device.type == "cpu":
            self._count(pixels, patch, self._under(patch))
        else:
            self._count_on_device(Colours(pixels), patch, self._under(patch))

    def pull(self, pixels: Tensor, patch: Patch, *, alone: bool) -> Tensor:
        """Count a patch in; its weighted gradient [3, h, w], times the canvas's pixels, in patch pixels."""
        under = self._under(patch)
        if pixels.device.type != "cpu":
            return self._pull_on_device(pixels, patch, under, alone=alone)
        self._count(pixels, patch, under)
        if alone:
            self._aim(self._counted())
            self._aimed = True
        total = torch.zeros_like(pixels)
        for scale in SCALES:
            cells = averaged(pixels, scale)
            for region in [0] if under is None else under.regions:
                if (region, scale) not in self._maps:
                    continue
                slope = slope_at(cells, self._maps[region, scale])
                weights = under.at(region, scale) if under else None
                if weights is not None:
                    slope = slope * weights
                factor = self._drawn.weight / (len(SCALES) * self._drawn.energies[region])
                total.add_(_shown(slope, scale, pixels), alpha=factor * patch.scale**2)
        return total

    def _pull_on_device(self, pixels: Tensor, patch: Patch, under: Places | None, *, alone: bool) -> Tensor:
        """As `pull`, in fewer kernels."""
        colours, total = Colours(pixels), torch.zeros_like(pixels)
        self._count_on_device(colours, patch, under)
        if alone:
            self._aim(self._counted())
            self._aimed = True
        for region in [0] if under is None else under.regions:
            if region not in self._joined:
                continue
            factor = self._drawn.weight / (len(SCALES) * self._drawn.energies[region]) * patch.scale**2
            for scale, slope in zip(SCALES, colours.slopes(self._joined[region]), strict=True):
                weights = under.at(region, scale) if under else None
                add_shown(total, slope if weights is None else slope * weights, scale, factor)
        return total

    def _count_on_device(self, colours: Colours, patch: Patch, under: Places | None) -> None:
        boxes = [patch.cells(scale) for scale in SCALES]
        for region in [0] if under is None else under.regions:
            parts = [under.at(region, scale) if under else None for scale in SCALES]
            weights = [
                inner(part[None, None], box)[0, 0]
                for part, box in zip(parts, boxes, strict=True)
                if part is not None
            ]
            colours.count(self._counts[region], boxes, weights or None)

    def all_reduce(self, comm: Ranks) -> None:
        """Add up the sums over all processes."""
        comm.add(self._counts)

    def reset_sums(self) -> None:
        """Forget the sums since the last sweep."""
        self._begin()

    def correct(self) -> None:
        """Take what was counted since the last sweep for the coming one."""
        self._aim({**self._seen, **self._counted()})
        self._begin()

    def turn(self, memory: float) -> float:
        """End a sweep, of which `memory` is the share of earlier histograms kept; answers the term."""
        if not self._aimed:
            found = self._counted()
            for key, shares in found.items() if memory else ():
                found[key] = memory * self._seen.get(key, shares) + (1 - memory) * shares
            self._aim({**self._seen, **found})
        self._begin()
        return self._value

    def _under(self, patch: Patch) -> Places | None:
        return self._drawn.regions.under(patch, self._drawn.device) if self._drawn.regions else None

    def _count(self, pixels: Tensor, patch: Patch, under: Places | None) -> None:
        for index, scale in enumerate(SCALES):
            place = patch.cells(scale)
            cells = inner(averaged(pixels, scale)[None], place)[0]
            for region in [0] if under is None else under.regions:
                weights = under.at(region, scale) if under else None
                part = None if weights is None else inner(weights[None, None], place)[0, 0]
                self._counts[region, index] += counts_of(cells, part)

    def _counted(self) -> dict[tuple[int, int], Shares]:
        """Histograms of what was counted, where anything was."""
        return {
            (region, scale): shares_of(counts)
            for region, scales in enumerate(self._counts.cpu())
            for scale, counts in zip(SCALES, scales, strict=True)
            if counts[0].any()
        }

    def _aim(self, seen: dict[tuple[int, int], Shares]) -> None:
        """Make the maps from these histograms."""
        self._seen, self._value = seen, 0.0
        for (region, scale), shares in seen.items():
            value, maps = transported(shares, self._drawn.goals[region][scale])
            self._maps[region, scale] = sent(torch.from_numpy(maps).float(), self._drawn.device, torch.float32)
            self._value += self._shares[region] * value / (len(SCALES) * self._drawn.energies[region])
        if self._drawn.device.type != "cpu":
            self._joined = {
                region: torch.stack([self._maps[region, scale] for scale in SCALES])
                for region in range(len(self._drawn.goals))
                if all((region, scale) in self._maps for scale in SCALES)
            }


def _shown(cells: Tensor, scale: int, pixels: Tensor) -> Tensor:
    """The gradient in cells at the pixels that they average: as many times as small, as they are fewer."""
    if scale == 1:
        return cells
    height, width = pixels.shape[1:]
    return cells.repeat_interleave(scale, 1)[:, :height].repeat_interleave(scale, 2)[:, :, :width]
