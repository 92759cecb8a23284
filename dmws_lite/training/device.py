"""Where a run computes: the device, its name, its precision, and the memory that it took."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from pathlib import Path

import torch


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """Return the device to compute on.

    Args:
        device: ``"auto"`` for a CUDA GPU if there is one, else Apple's GPU, else the CPU; or a device's name; a number
            such as ``"0"`` is that CUDA GPU.

    Raises:
        ValueError: there is no such device, or it is a CUDA GPU and this machine has none.

    Example:
        >>> pick_device("cpu")
        device(type='cpu')
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        wanted = torch.device(f"cuda:{device}" if str(device).isdecimal() else device)
    except RuntimeError as error:  # PyTorch lists every device it was ever written for
        raise ValueError(f"device={device!r} is unknown; choose auto, cpu, cuda or mps") from error
    if wanted.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={device!r} is not available; use 'auto' or 'cpu', or switch the notebook to a GPU runtime"
        )
    return wanted


def device_name(device: str) -> str:
    """Name a device so that a reader can judge the seconds: the GPU's product name, or the CPU's threads."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name()
    return f"{device}, {torch.get_num_threads()} threads" if device == "cpu" else device


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager:
    """Return the context in which a training step's forward passes run: bf16 autocast, or plain fp32.

    Args:
        precision: ``"fp32"``; ``"bf16"``; or ``"auto"``, bf16 on CUDA GPUs that compute in it, else fp32.
        device: where the run computes.

    Raises:
        ValueError: bf16 is asked for and this version of PyTorch has no autocast on the device.
    """
    if precision == "fp32" or (precision == "auto" and not _computes_in_bf16(device)):
        return contextlib.nullcontext()  # torch.autocast("mps", enabled=False) raises before PyTorch 2.5
    try:
        return torch.autocast(device.type, torch.bfloat16)
    except RuntimeError as error:
        raise ValueError(
            f"precision='bf16' does not work on device={device.type!r} with PyTorch {torch.__version__}; "
            "use precision='fp32'"
        ) from error


def _computes_in_bf16(device: torch.device) -> bool:
    """Whether a device has bf16 units; emulated bf16 is slower than fp32."""
    if device.type != "cuda":
        return False
    try:
        return torch.cuda.is_bf16_supported(including_emulation=False)
    except TypeError:  # PyTorch before 2.4 has no such argument, and may count emulation
        return torch.cuda.is_bf16_supported() and torch.cuda.get_device_capability(device)[0] >= 8


class PeakMemory:
    """The largest memory in use since it was made: of the GPU's tensors, or of the whole process on a Linux CPU."""

    def __init__(self) -> None:
        self._gpu = torch.cuda.is_available()
        self._reset = False
        if self._gpu:
            torch.cuda.reset_peak_memory_stats()
            return
        with contextlib.suppress(OSError):  # not Linux, or not permitted: then the peak is unknown
            Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark, see proc(5)
            self._reset = True

    def mib(self) -> int | None:
        """Return the peak in MiB, or ``None`` where it cannot be measured."""
        if self._gpu:
            return round(torch.cuda.max_memory_allocated() / 2**20)
        if not self._reset:
            return None
        lines = Path("/proc/self/status").read_text().splitlines()
        return round(int(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) / 1024)


def keep_freed_memory() -> bool:
    """Ask the C library (glibc) to keep freed memory for the next allocation instead of returning it to the system.

    A training step frees and allocates the same large tensors again and again. When each of them goes back to the
    system in between, its pages must be cleared anew every time. What this gains is in ``benchmarks/README.md``; where
    it does not apply it does nothing.

    Returns:
        Whether it took effect; ``False`` on other systems and C libraries.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    trim_threshold, mmap_threshold = -1, -3  # parameter numbers of malloc.h
    largest = 32 * 2**20  # glibc accepts no larger threshold
    return bool(mallopt(trim_threshold, 2**31 - 1)) and bool(mallopt(mmap_threshold, largest))
