"""Where a run computes: the device, its name, and the memory that it took."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from pathlib import Path

import torch


class PeakMemory:
    """The largest memory in use since it was made: of the GPU's tensors, or of the whole process on a Linux CPU."""

    def __init__(self) -> None:
        self._gpu = torch.cuda.is_available()
        self._reset = False
        if self._gpu:
            torch.cuda.reset_peak_memory_stats()
            return
        with contextlib.suppress(OSError):  # not Linux, or not allowed: then the peak is unknown
            Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark, see proc(5)
            self._reset = True

    def mib(self) -> int | None:
        if self._gpu:
            return round(torch.cuda.max_memory_allocated() / 2**20)
        if not self._reset:
            return None
        lines = Path("/proc/self/status").read_text().splitlines()
        return round(int(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) / 1024)


def device_name(device: str) -> str:
    """Name a device so that a reader can judge the seconds: the GPU's product name, or the CPU's threads."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name()
    return f"{device}, {torch.get_num_threads()} threads" if device == "cpu" else device


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """Return the device to compute on; ``"auto"`` is a CUDA GPU, else Apple's, else the CPU.

    Raises:
        ValueError: the device is named but not there.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    wanted = torch.device(device)
    if wanted.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={device!r} is not there; use 'auto' or 'cpu', or switch the notebook to a GPU runtime"
        )
    return wanted


def keep_freed_memory() -> bool:
    """Ask the C library (glibc) to keep freed memory for the next allocation instead of returning it to the system.

    A training step frees and allocates the same large tensors again and again; when each round trip goes through the
    system, its pages are cleared anew every time. What this gains is in ``benchmarks/README.md``. Harmless where it
    does not apply.

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
