"""Keep freed memory in the process."""

import ctypes
import platform

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
LARGEST = 2**31 - 1
PAD = 256 * 2**20


def keep_freed_memory() -> None:
    """Make glibc keep what is freed, for the next step to use; elsewhere, do nothing.

    By default tensors of 32 MiB or more go back to the system when they are freed and are asked for again in the next
    step; on virtual machines the page faults of a step then cost as much as its arithmetic. Commands call this, the
    packages do not.
    """
    if platform.system() != "Linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in ((M_MMAP_THRESHOLD, LARGEST), (M_TRIM_THRESHOLD, LARGEST), (M_TOP_PAD, PAD)):
            mallopt(parameter, value)
