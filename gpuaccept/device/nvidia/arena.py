"""As much of one GPU's memory as can be had, as one range of addresses: handles of the driver's virtual memory calls.

A single allocation, made smaller until it fits, leaves out what lies in pieces; handles of 1 GiB and then of 2 MiB take
those too.
"""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import Any

from gpuaccept.check import DeviceError
from gpuaccept.device.nvidia.context import Context

HANDLES = (1 << 30, 2 << 20)
"""Bytes of a handle, largest first; the last is the smallest page of a range (the driver's granularity)."""
_LEFT_SHARE = 1000
"""One part in so many stays free for what the driver may still need, a launch's buffers or an event's."""
_OUT_OF_MEMORY = 2


class Arena:
    """Memory from `base`, `size` bytes of it, at most `limit`. Raises DeviceError where none at all can be had."""

    def __init__(self, context: Context, limit: int | None = None) -> None:
        self._context = context
        self.base = self.size = 0
        context.enter()
        free, self.total = map(int, context.call("cuMemGetInfo"))
        wanted = min(self.total if limit is None else limit, free - free // _LEFT_SHARE)
        self._reserved = wanted // HANDLES[-1] * HANDLES[-1]
        if not self._reserved:
            raise DeviceError("cuMemCreate", _OUT_OF_MEMORY, "less memory than one page was asked for", context.index)
        self.base = int(context.call("cuMemAddressReserve", self._reserved, 0, 0, 0))
        try:
            self._take()
        except DeviceError:
            self.close()
            raise

    def _take(self) -> None:
        properties = self._properties()
        for size in HANDLES:
            while self.size + size <= self._reserved and self._map(properties, size):
                self.size += size
        if not self.size:
            raise DeviceError("cuMemCreate", _OUT_OF_MEMORY, "no memory can be had on this GPU", self._context.index)
        access = self._context.cuda.driver.CUmemAccessDesc()
        access.location = properties.location
        access.flags = self._context.cuda.driver.CUmemAccess_flags.CU_MEM_ACCESS_FLAGS_PROT_READWRITE
        self._context.call("cuMemSetAccess", self.base, self.size, [access], 1)

    def _properties(self) -> Any:
        driver = self._context.cuda.driver
        properties = driver.CUmemAllocationProp()
        properties.type = driver.CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED
        properties.location.type = driver.CUmemLocationType.CU_MEM_LOCATION_TYPE_DEVICE
        properties.location.id = self._context.ordinal
        return properties

    def _map(self, properties: Any, size: int) -> bool:
        """One more handle at the end of the range; False when the driver has no more of that size."""
        call = self._context.call
        try:
            handle = call("cuMemCreate", size, properties, 0)
        except DeviceError as error:
            if error.code == _OUT_OF_MEMORY:
                return False
            raise
        try:
            call("cuMemMap", self.base + self.size, size, 0, handle, 0)
        finally:
            with suppress(DeviceError):
                call("cuMemRelease", handle)  # the mapping keeps the memory
        return True

    def close(self) -> None:
        """Give the memory back."""
        call = self._context.call
        if self.base:
            with suppress(DeviceError):
                self._context.enter()
            with suppress(DeviceError):
                if self.size:
                    call("cuMemUnmap", self.base, self.size)
            with suppress(DeviceError):
                call("cuMemAddressFree", self.base, self._reserved)
        self.base = self.size = 0

    def __enter__(self) -> Arena:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
