"""XIDs as NVML tells them: one event set for each GPU, so that a lost one takes no other's events with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pynvml

from gpuaccept.check import DeviceError, Unavailable
from gpuaccept.device.nvidia.calls import Nvml, reason
from gpuaccept.device.nvidia.discovery import Gpu

_WAIT = "nvmlEventSetWait"
_MOST = 10_000
"""Events taken in one reading: a storm ends it, and is counted on in the next."""


class XidWatch:
    """Hears the XIDs of some GPUs from its beginning on. A GPU that can't be watched says why.

    `before` is what a watch heard whose place this one takes.
    """

    def __init__(self, nvml: Nvml, gpus: Sequence[Gpu], before: Mapping[int, Sequence[int]] | None = None) -> None:
        self._nvml = nvml
        self._sets: dict[int, Any] = {}
        self._heard: dict[int, list[int]] = {gpu.index: list((before or {}).get(gpu.index, ())) for gpu in gpus}
        self._deaf: dict[int, Unavailable] = {}
        for gpu in gpus:
            try:
                self._sets[gpu.index] = self._watch(gpu)
            except DeviceError as error:
                self._deaf[gpu.index] = Unavailable(error.call, error.code, reason(error.code, error.name))

    def _watch(self, gpu: Gpu) -> Any:
        supported = self._nvml.call(gpu.index, "nvmlDeviceGetSupportedEventTypes", gpu.handle)
        if not supported & pynvml.nvmlEventTypeXidCriticalError:
            raise DeviceError("nvmlDeviceGetSupportedEventTypes", pynvml.NVML_ERROR_NOT_SUPPORTED, "", gpu.index)
        events = self._nvml.call(gpu.index, "nvmlEventSetCreate")
        try:
            kind = pynvml.nvmlEventTypeXidCriticalError
            self._nvml.call(gpu.index, "nvmlDeviceRegisterEvents", gpu.handle, kind, events)
        except DeviceError:
            self._nvml.read(gpu.index, "nvmlEventSetFree", events, convert=lambda _: 0)
            raise
        return events

    def heard(self, gpu: int) -> tuple[int, ...] | Unavailable:
        """All XIDs of a GPU since the beginning, oldest first. What was heard before a GPU was lost stays heard."""
        if gpu in self._deaf:
            return self._deaf[gpu]
        if gpu not in self._sets:
            return Unavailable("nvmlDeviceRegisterEvents", 0, "this process does not watch this GPU")
        heard = self._heard[gpu]
        for _ in range(_MOST):
            try:
                event = self._nvml.call(gpu, _WAIT, self._sets[gpu], 0)
            except DeviceError as error:
                if error.code == pynvml.NVML_ERROR_TIMEOUT or heard:  # a timeout is the end of what there is
                    break
                return Unavailable(_WAIT, error.code, reason(error.code, error.name))
            heard.append(int(event.eventData))
        return tuple(heard)

    def told(self) -> dict[int, tuple[int, ...]]:
        """What was heard of each GPU until it was last asked for."""
        return {gpu: tuple(heard) for gpu, heard in self._heard.items() if heard}

    def close(self) -> None:
        """Stop to listen."""
        for gpu, events in self._sets.items():
            try:
                self._nvml.call(gpu, "nvmlEventSetFree", events)
            except DeviceError:
                continue
        self._sets.clear()
