"""The machine around the simulated GPUs: kernel log, network ports, drives, memory, supplies, settings, other users."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from statistics import median

from gpuaccept.check import HostState, KernelEvent, Port, Process, Reading, Unavailable, gpu_subject
from gpuaccept.device.mock.identity import pci_bus_id, switch_pci_id
from gpuaccept.device.mock.physics import Body
from gpuaccept.device.mock.world import Holds, World, port_subject

ASK_INLET = "ipmitool dcmi get_temp_reading"
"""The call that a BMC's inlet sensor is read by."""
MOST = 1000
"""Things of one kind that are listed at most: no scenario fills the memory."""
NVLINK_XIDS = range(144, 151)
"""XIDs of NVLink 5: the simulated ones are fatal, of one link."""
OTHER_PROCESS_BYTES = 4 << 30
"""Memory that each process of others holds [judgement]."""


def host_state(world: World, seed: int, places: Sequence[int], t: float, holds: Holds) -> HostState:
    """What the host shows at `t`; `places[i]` is where GPU i sits on the board."""
    server = world.model.server

    def text(parameter: str, base: str) -> str:
        return world.value(f"host.{parameter}", "node", base, t, holds)

    def number(parameter: str, base: int = 0) -> int:
        return int(world.value(f"host.{parameter}", "node", float(base), t, holds))

    def serials(parameter: str, count: int) -> tuple[str, ...]:
        return tuple(_serial(seed, parameter, i) for i in range(min(MOST, number(parameter, count))))

    return HostState(
        kernel_events=tuple(sorted(_kernel_events(world, t), key=lambda event: event.at_s)),
        ports=tuple(_port(world, port, t, holds) for port in range(server.ports)),
        nvme=serials("nvme", server.nvme),
        dimms=serials("dimms", server.dimms),
        power_supplies=serials("power_supplies", server.power_supplies),
        iommu=text("iommu", server.iommu),
        acs_redirect=number("acs_redirect"),
        governor=text("governor", server.governor),
        numa_balancing=number("numa_balancing"),
        peermem=text("peermem", server.peermem),
        fabric_manager=text("fabric_manager", "active" if world.model.nvlink.switches else "not installed"),
        gpu_numa_nodes=tuple(numa_node(world, place, t, holds) for place in places),
        telemetry_readers=tuple(f"reader-{i}" for i in range(min(MOST, number("telemetry_readers")))),
    )


def inlet(world: World, bodies: Sequence[Body], t: float, holds: Holds) -> Reading:
    """What the BMC shows of the inlet at `t`, whole °C: one sensor, which an obstacle before one GPU does not reach."""
    if world.model.cooling == "liquid":
        return Unavailable(ASK_INLET, 0, "the BMC has no sensor for the coolant")
    nominal = world.model.thermal.inlet_c
    own = [world.value("thermal.inlet_c", gpu_subject(body.place), nominal, t, holds) for body in bodies]
    air = median([body.inlet(t, one) for body, one in zip(bodies, own, strict=True)] or [nominal])
    shown: float | str = world.value("bmc.inlet_c", "node", air, t, holds)
    if isinstance(shown, str):
        return Unavailable(ASK_INLET, 0, "the BMC shows no sensor of the inlet")
    return float(round(shown))


def numa_node(world: World, place: int, t: float, holds: Holds) -> int:
    """The NUMA node that the firmware gives a GPU: there its pinned memory is taken."""
    return int(world.value("gpu.numa_node", gpu_subject(place), float(true_node(world, place)), t, holds))


def true_node(world: World, place: int) -> int:
    """The NUMA node that a GPU is wired to: equal runs of places."""
    return place // max(1, world.model.gpus // world.model.node.numa_nodes)


def xids(world: World, place: int, since: float, t: float) -> tuple[int, ...]:
    """XIDs of a GPU that a process which listens since `since` was told of until `t`, oldest first."""
    return tuple(number for at, number in _logged(world, "gpu.xid", gpu_subject(place), t) if at >= since)


def processes(world: World, place: int, t: float, holds: Holds) -> tuple[Process, ...]:
    """Compute processes of others on a GPU."""
    count = int(world.value("gpu.other_processes", gpu_subject(place), 0.0, t, holds))
    return tuple(Process(4000 + 16 * place + i, "python3", OTHER_PROCESS_BYTES) for i in range(min(MOST, count)))


def _logged(world: World, parameter: str, subject: str, t: float) -> Iterator[tuple[float, int]]:
    """(time in s of the run, number) of each event that deviations log; conditions do not hold it back."""
    changes = sorted(world.touched.get((parameter, subject), ()), key=lambda change: change.start)
    yield from ((change.start, int(change.operand)) for change in changes if change.start <= t)


def _kernel_events(world: World, t: float) -> Iterator[KernelEvent]:
    uptime = world.model.server.uptime_s
    if "gpu.xid" in world.names:
        for place in range(world.model.gpus):
            address = pci_bus_id(world.model, place)[4:].rsplit(".", 1)[0].lower()
            for at, number in _logged(world, "gpu.xid", gpu_subject(place), t):
                text = f"NVRM: Xid (PCI:{address}): {number}, simulated"
                severity, link = ("fatal", 8) if number in NVLINK_XIDS else ("", -1)
                yield KernelEvent(uptime + at, "xid", number, address, text, severity, link=link)
    for parameter, severity in (("host.sxid", "fatal"), ("host.sxid_nonfatal", "non-fatal")):
        for at, number in _logged(world, parameter, "node", t):
            address = switch_pci_id(world.model, 0)[4:].lower()
            text = f"nvidia-nvswitch0: SXid (PCI:{address}): {number}, {severity.capitalize()}, Link 30 simulated"
            yield KernelEvent(uptime + at, "sxid", number, address, text, severity, "nvswitch0", 30)


def _port(world: World, port: int, t: float, holds: Holds) -> Port:
    server, subject = world.model.server, port_subject(port)
    state = world.value("port.state", subject, "active", t, holds)
    nodes = world.model.node.numa_nodes
    return Port(
        name=subject.rsplit("/", 1)[-1],
        pci_address=f"0000:{0x18 + 8 * port:02x}:00.0",
        state=state,
        rate_gbps=world.value("port.rate_gbps", subject, server.port_rate_gbps, t, holds) if state == "active" else 0,
        pcie_width=16,
        firmware=server.port_firmware,
        numa_node=port * nodes // server.ports,
        symbol_errors=int(world.integral("port.symbol_errors_per_hour", subject, 0.0, t, holds) / 3600.0),
        link_downed=int(world.value("port.link_downed", subject, 0.0, t, holds)),
    )


def _serial(seed: int, what: str, index: int) -> str:
    digest = hashlib.sha256(f"gpuaccept mock {seed} {what} {index}".encode()).hexdigest()
    return f"SIM{digest[:7].upper()}"
