"""Optical flow by torchvision's RAFT (Teed and Deng 2020, arXiv 2003.12039); weights are not downloaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from tilestyle.errors import NetworkError
from tilestyle.motion.optical_flow import Floats, FlowMethod

MIN_SIDE, SIDE_MULTIPLE = 128, 8  # the network's sides are at least 128 pixels, and multiples of 8


def raft_method(device: torch.device) -> FlowMethod:
    """Load the small RAFT as a method of estimating flow.

    Args:
        device: Where it runs.

    Returns:
        A function from two pictures [H, W, 3] to the flow [H, W, 2] from the first to the second.

    Raises:
        NetworkError: Its weights are not in torch's folder.
    """
    from torchvision.models.optical_flow import Raft_Small_Weights, raft_small

    source = Raft_Small_Weights.DEFAULT.url
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(source).name
    if not file.exists():
        raise NetworkError(
            f"RAFT's weights are not at {file}", hint=f"download {source} to that place, or use --flow dis"
        )
    network = raft_small(weights=None).eval().to(device)
    network.load_state_dict(torch.load(file, map_location=device, weights_only=True))

    def method(first: Floats, second: Floats) -> Floats:
        height, width = first.shape[:2]
        padding = [max(MIN_SIDE, -(-side // SIDE_MULTIPLE) * SIDE_MULTIPLE) - side for side in (width, height)]
        with torch.no_grad():
            inputs = [  # [1, 3, H + padding, W + padding] in [-1, 1]
                F.pad(
                    torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].to(device) * 2 - 1,
                    (0, padding[0], 0, padding[1]),
                    mode="replicate",
                )
                for picture in (first, second)
            ]
            flow = network(*inputs)[-1][0, :, :height, :width]  # [2, H, W]
        return np.ascontiguousarray(flow.permute(1, 2, 0).float().cpu().numpy())  # [H, W, 2]

    return method
