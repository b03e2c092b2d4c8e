"""NVLinks of one GPU: state, counters and traffic, by the fields of each generation of NVLink."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pynvml

from gpuaccept.check import Link, LinkTraffic, Reading, Unavailable
from gpuaccept.device.nvidia.calls import Nvml
from gpuaccept.device.nvidia.discovery import Gpu
from gpuaccept.device.nvidia.words import translated, word

_STATES = {0: "off", 1: "on", 2: "sleep", 3: "traffic disabled"}
_VERSIONS = {1: "1.0", 2: "2.0", 3: "2.2", 4: "3.0", 5: "3.1", 6: "4.0", 7: "5.0", 8: "6.0"}
_REMOTE_TYPES = {0: "gpu", 1: "npu", 2: "switch", 255: "unknown"}
_KIB = 1024
_MOST_LINKS = 36
"""NVML_NVLINK_MAX_LINKS of nvml.h 13: older bindings say 18, and a GPU with more of them would lose the rest."""
_PACKET_ERRORS_5 = (
    pynvml.NVML_FI_DEV_NVLINK_COUNT_MALFORMED_PACKET_ERRORS,
    pynvml.NVML_FI_DEV_NVLINK_COUNT_BUFFER_OVERRUN_ERRORS,
    pynvml.NVML_FI_DEV_NVLINK_COUNT_RCV_ERRORS,
    pynvml.NVML_FI_DEV_NVLINK_COUNT_RCV_REMOTE_ERRORS,
    pynvml.NVML_FI_DEV_NVLINK_COUNT_RCV_GENERAL_ERRORS,
    pynvml.NVML_FI_DEV_NVLINK_COUNT_LOCAL_LINK_INTEGRITY_ERRORS,
    pynvml.NVML_FI_DEV_NVLINK_COUNT_XMIT_DISCARDS,
)
"""Each must stand still on a good link. NVLink 5's other fields are left out: the FEC history (235 to 250) counts
symbols that were corrected, which is what the code is for; the bit error rates (220, 222) are means since the link came
up, which errors of an hour hardly move, and of which the two counters (219, 221) hold the numerators."""

# NVLink 3 has each counter as one field a link, the links from 6 on in a second row.
_CRC_3 = (pynvml.NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_L0, pynvml.NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_L6)
_REPLAY_3 = (pynvml.NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_L0, pynvml.NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_L6)
_RECOVERY_3 = (pynvml.NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_L0, pynvml.NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_L6)
_SPEED_3 = (pynvml.NVML_FI_DEV_NVLINK_SPEED_MBPS_L0, pynvml.NVML_FI_DEV_NVLINK_SPEED_MBPS_L6)
_LINKS_3 = 12
_DATA = pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX
_PACKETS = pynvml.NVML_FI_DEV_NVLINK_COUNT_XMIT_BYTES, pynvml.NVML_FI_DEV_NVLINK_COUNT_RCV_BYTES


def links(nvml: Nvml, gpu: Gpu) -> tuple[Link, ...]:
    """All NVLinks that the GPU has: as many as its link count field says, or else all that have a state."""
    count = _count(nvml, gpu)
    if count is not None:
        return tuple(_link(nvml, gpu, number) for number in range(count))
    found = (_link(nvml, gpu, number) for number in range(_MOST_LINKS))
    return tuple(link for link in found if not isinstance(link.state, Unavailable))


def link_traffic(nvml: Nvml, gpu: Gpu) -> tuple[LinkTraffic, ...]:
    """Bytes that each link has carried. NVML counts data in KiB; where it does not, NVLink 5's bytes of all packets.

    Those include the packets' overhead, so they are a little more than the data.
    """
    count = _count(nvml, gpu)
    numbers = range(_MOST_LINKS if count is None else count)
    data = _pairs(nvml, gpu, numbers, _DATA)
    if any(isinstance(value, Unavailable) for pair in data for value in pair):
        found = list(map(_carried, numbers, data, _pairs(nvml, gpu, numbers, _PACKETS)))
    else:
        found = list(map(_carried, numbers, data, data))
    if count is not None:
        return tuple(found)
    return tuple(link for link in found if not isinstance(link.transmitted_bytes, Unavailable))


def _count(nvml: Nvml, gpu: Gpu) -> int | None:
    (count,) = nvml.fields(gpu.index, gpu.handle, [(pynvml.NVML_FI_DEV_NVLINK_LINK_COUNT, 0)])
    return min(count, _MOST_LINKS) if isinstance(count, int) else None


def _pairs(nvml: Nvml, gpu: Gpu, numbers: range, fields: tuple[int, int]) -> list[tuple[Reading, Reading]]:
    """Two fields of all links, in one call: it is made before and after each round of copies."""
    values = nvml.fields(gpu.index, gpu.handle, [(field, number) for number in numbers for field in fields])
    return list(zip(values[::2], values[1::2], strict=True))


def _carried(number: int, data: tuple[Reading, Reading], packets: tuple[Reading, Reading]) -> LinkTraffic:
    sent, received = data
    if isinstance(sent, Unavailable) or isinstance(received, Unavailable):
        both = not any(isinstance(value, Unavailable) for value in packets)
        return LinkTraffic(number, *(packets if both else data))
    return LinkTraffic(number, int(sent) * _KIB, int(received) * _KIB)


def _link(nvml: Nvml, gpu: Gpu, number: int) -> Link:
    state, rate, recovery, failed, effective, symbol, recovery_4, crc, replay, *packets = _fields(
        nvml,
        gpu,
        number,
        (
            pynvml.NVML_FI_DEV_NVLINK_GET_STATE,
            pynvml.NVML_FI_DEV_NVLINK_GET_SPEED,
            pynvml.NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_EVENTS,
            pynvml.NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_FAILED_EVENTS,
            pynvml.NVML_FI_DEV_NVLINK_COUNT_EFFECTIVE_ERRORS,
            pynvml.NVML_FI_DEV_NVLINK_COUNT_SYMBOL_ERRORS,
            pynvml.NVML_FI_DEV_NVLINK_ERROR_DL_RECOVERY,
            pynvml.NVML_FI_DEV_NVLINK_ERROR_DL_CRC,
            pynvml.NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY,
            *_PACKET_ERRORS_5,
        ),
    )
    if isinstance(recovery, Unavailable):  # NVLink 4 counts them elsewhere
        recovery = recovery_4
    if all(isinstance(value, Unavailable) for value in (effective, crc, replay)) and number < _LINKS_3:
        rate, recovery, crc, replay = _nvlink_3(nvml, gpu, number, (rate, recovery, crc, replay))
    if isinstance(state, Unavailable):
        state = nvml.read(gpu.index, "nvmlDeviceGetNvLinkState", gpu.handle, number)

    def read(name: str, convert: Any) -> Reading:
        return nvml.read(gpu.index, name, gpu.handle, number, convert=convert)

    return Link(
        number=number,
        state=translated(state, _STATES),
        version=read("nvmlDeviceGetNvLinkVersion", word(_VERSIONS)),
        remote_type=read("nvmlDeviceGetNvLinkRemoteDeviceType", word(_REMOTE_TYPES)),
        remote_pci_id=read("nvmlDeviceGetNvLinkRemotePciInfo", lambda pci: _text(pci.busId)),
        raw_rate_mbps=rate,
        recovery=recovery,
        recovery_failed=failed,
        effective_errors=effective,
        symbol_errors=symbol,
        packet_errors=_sum(packets),
        crc_errors=crc,
        replay_errors=replay,
    )


def _sum(counts: Sequence[Reading]) -> Reading:
    """One that can't be read is not 0: none is told then."""
    total = 0
    for count in counts:
        if isinstance(count, Unavailable):
            return count
        total += int(count)
    return total


def _nvlink_3(nvml: Nvml, gpu: Gpu, number: int, known: Sequence[Reading]) -> tuple[Reading, ...]:
    """The older fields for what the newer ones did not tell."""
    rows = (_SPEED_3, _RECOVERY_3, _CRC_3, _REPLAY_3)
    older = _fields(nvml, gpu, number, [low + number if number < 6 else high + number - 6 for low, high in rows])
    return tuple(
        old if isinstance(new, Unavailable) and not isinstance(old, Unavailable) else new
        for new, old in zip(known, older, strict=True)
    )


def _fields(nvml: Nvml, gpu: Gpu, number: int, wanted: Sequence[int]) -> tuple[Reading, ...]:
    return nvml.fields(gpu.index, gpu.handle, [(field, number) for field in wanted])


def _text(value: str | bytes) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else value
