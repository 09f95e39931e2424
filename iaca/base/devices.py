"""Which device computes. Torch is imported only where `auto` has to be resolved."""

import os
from typing import Literal

Device = Literal["auto", "cpu", "cuda"]
DEVICES: tuple[Device, ...] = ("auto", "cpu", "cuda")


def device_type(device: Device) -> Literal["cpu", "cuda"]:
    """``cuda`` or ``cpu``: what ``auto`` comes to on this machine."""
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def visible_gpus() -> tuple[str, ...]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    import torch

    count = torch.cuda.device_count()
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = given.split(",") if given else map(str, range(count))
    return tuple(name.strip() for name in names)[:count]
