"""Optical flow by RAFT (Teed and Deng 2020, arXiv 2003.12039), torchvision's, with weights that are there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from tilestyle.errors import NetworkError
from tilestyle.motion.optical_flow import Floats, FlowMethod

LEAST, UNIT = 128, 8  # sides that it takes: at least, and multiples of


def raft(device: torch.device) -> FlowMethod:
    """The small RAFT as a way of finding flow; raises NetworkError where torch's folder lacks its weights."""
    from torchvision.models.optical_flow import Raft_Small_Weights, raft_small

    source = Raft_Small_Weights.DEFAULT.url
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(source).name
    if not file.exists():
        raise NetworkError(f"there is no {file}, RAFT's weights", hint=f"fetch {source}, or use --flow dis")
    network = raft_small(weights=None).eval().to(device)
    network.load_state_dict(torch.load(file, map_location=device, weights_only=True))

    def method(first: Floats, second: Floats) -> Floats:
        height, width = first.shape[:2]
        beyond = [max(LEAST, -(-side // UNIT) * UNIT) - side for side in (width, height)]
        with torch.no_grad():
            seen = [
                F.pad(
                    torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].to(device) * 2 - 1,
                    (0, beyond[0], 0, beyond[1]),
                    mode="replicate",
                )
                for picture in (first, second)
            ]
            found = network(*seen)[-1][0, :, :height, :width]
        return np.ascontiguousarray(found.permute(1, 2, 0).float().cpu().numpy())

    return method
