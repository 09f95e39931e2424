"""Which device computes. Torch is imported only where `auto` has to be resolved."""

from typing import Literal

Device = Literal["auto", "cpu", "cuda"]
DEVICES: tuple[Device, ...] = ("auto", "cpu", "cuda")


def device_type(device: Device) -> Literal["cpu", "cuda"]:
    """``cuda`` or ``cpu``: what ``auto`` comes to on this machine."""
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
