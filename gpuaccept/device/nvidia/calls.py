"""The one place through which every NVML and CUDA driver call goes: announced before it, its code examined after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pynvml

from gpuaccept.check import DeviceError, Pulse, Reading, Unavailable

_MAX_TEXT = 120
_NO_DRIVER_ENTRY = 500
"""CUDA_ERROR_NOT_FOUND: what the driver answers where it lacks an entry point."""
_GPU_GONE = frozenset(
    {
        pynvml.NVML_ERROR_UNINITIALIZED,
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
        pynvml.NVML_ERROR_GPU_IS_LOST,
        pynvml.NVML_ERROR_RESET_REQUIRED,
    }
)
"""After these no other value of the GPU can be read either."""
_REASONS = {
    pynvml.NVML_ERROR_NOT_SUPPORTED: "not supported by this GPU",
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: "not in this driver",
    pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH: "this driver has another version of the call",
    pynvml.NVML_ERROR_NO_PERMISSION: "no permission: run as root",
}
_NO_FIELD = "not in this driver, or not of this GPU"
_NAMES = {
    value: name for name, value in vars(pynvml).items() if name.startswith("NVML_ERROR_") and isinstance(value, int)
}


def _as_it_is(value: Any) -> Reading:
    """Integers stay; text is cut and stripped."""
    return value if isinstance(value, int) else str(value).strip()[:_MAX_TEXT]


class Nvml:
    """NVML by the names of nvidia-ml-py. `gpu` is the index that errors and the pulse name; None for the node."""

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse

    def call(self, gpu: int | None, name: str, *arguments: Any) -> Any:
        """The call's result. Raises DeviceError for every code but success."""
        self._pulse(gpu, name)
        try:
            return getattr(pynvml, name)(*arguments)
        except pynvml.NVMLError as error:
            raise DeviceError(name, error.value, _NAMES.get(error.value, "unknown NVML error"), gpu) from None
        except UnicodeDecodeError:
            raise DeviceError(name, 0, "the text returned is not UTF-8", gpu) from None

    def read(
        self, gpu: int | None, name: str, *arguments: Any, convert: Callable[[Any], Reading] = _as_it_is
    ) -> Reading:
        """One value, or why it could not be read. Raises DeviceError where the GPU itself is gone."""
        try:
            return convert(self.call(gpu, name, *arguments))
        except DeviceError as error:
            if error.code in _GPU_GONE:
                raise
            return Unavailable(name, error.code, reason(error.code, error.name))

    def fields(self, gpu: int, handle: Any, wanted: list[tuple[int, int]]) -> tuple[Reading, ...]:
        """Field values of (field, scope): each has its own return code, the call succeeds when all of them failed."""
        name = "nvmlDeviceGetFieldValues"
        try:
            values = self.call(gpu, name, handle, wanted)
        except DeviceError as error:
            if error.code in _GPU_GONE:
                raise
            return (Unavailable(name, error.code, reason(error.code, error.name)),) * len(wanted)
        return tuple(
            self._field(gpu, f"{name} {field}", value) for (field, _), value in zip(wanted, values, strict=True)
        )

    def _field(self, gpu: int, call: str, value: Any) -> Reading:
        if value.nvmlReturn in _GPU_GONE:
            raise DeviceError(call, value.nvmlReturn, _NAMES[value.nvmlReturn], gpu)
        if value.nvmlReturn != pynvml.NVML_SUCCESS:
            # what a driver says of a field that is newer than it
            unknown = value.nvmlReturn == pynvml.NVML_ERROR_INVALID_ARGUMENT
            return Unavailable(call, value.nvmlReturn, _NO_FIELD if unknown else reason(value.nvmlReturn))
        member = _FIELD_MEMBERS.get(value.valueType)
        if member is None:
            return Unavailable(call, 0, f"the value has the unknown type {value.valueType}")
        number: int | float = getattr(value.value, member)
        return number


_FIELD_MEMBERS = {
    pynvml.NVML_VALUE_TYPE_DOUBLE: "dVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: "uiVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG: "ulVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: "ullVal",
    pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: "sllVal",
    pynvml.NVML_VALUE_TYPE_SIGNED_INT: "siVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_SHORT: "usVal",
}


def reason(code: int, name: str = "") -> str:
    """Why a value is not measured, in words."""
    return _REASONS.get(code) or name or _NAMES.get(code, f"NVML error {code}")


class Cuda:
    """The CUDA driver by the names of cuda.bindings.driver."""

    def __init__(self, pulse: Pulse, lacking: str = "") -> None:
        """`lacking`: why the driver is not to be called; every call fails for that reason."""
        from cuda.bindings import driver

        self.driver = driver
        self.lacking = lacking
        self._functions: dict[str, Callable[..., Any]] = {}
        self.current: object = None
        """The context that calls act on, where that is known (see Context.enter)."""
        self.announce = pulse
        """The heartbeat, for calls of other libraries that act on a GPU: (GPU, name of the call)."""

    def call(self, gpu: int | None, name: str, *arguments: Any) -> Any:
        """The call's value (None, one, or a tuple). Raises DeviceError for every code but success."""
        if self.lacking:
            raise DeviceError(name, 0, self.lacking, gpu)
        self.announce(gpu, name)
        try:
            function = self._functions.get(name) or self._functions.setdefault(name, getattr(self.driver, name))
            answer = function(*arguments)
        except RuntimeError:  # the bindings look entry points up at their first call
            raise DeviceError(name, _NO_DRIVER_ENTRY, "not in this driver", gpu) from None
        code = answer[0]
        if code != 0:
            raise DeviceError(name, int(code), getattr(code, "name", "unknown CUDA error"), gpu)
        return None if len(answer) == 1 else answer[1] if len(answer) == 2 else answer[1:]
