"""What is around the GPUs: XIDs, other users, network, drives, memory, supplies, and how the machine is set up.

Only what is new in the run is counted of XIDs: a kernel log remembers, and a node may have been in use before.
"""

from gpuaccept.check import (
    Better,
    Check,
    HostState,
    KernelEvent,
    Kind,
    Metric,
    Node,
    NodeFacts,
    Port,
    Reading,
    Unavailable,
    Visit,
    gpu_subject,
)

# XIDs by what follows from them (NVIDIA's XID catalogue and the health watches of DCGM). All others, and those that
# software causes as a rule (13, 31, 43 …), are a reason to look: only known kernels ran.
FATAL = frozenset({48, 64, 74, 79, 95, 119, 120, 140, 171, 172})
CONTAINED = frozenset({94})
REPAIR = frozenset({63, 92, 154, 160})
CLASSES = (
    ("xid_fatal_new", FATAL, "New XIDs of a failed GPU, memory or link"),
    ("xid_contained_new", CONTAINED, "New XIDs of contained memory errors"),
    ("xid_repair_new", REPAIR, "New XIDs that ask for a reset or a repair"),
)
UNCLEAR = "xid_unclear_new"
SETTINGS = ("iommu", "acs_redirect", "governor", "numa_balancing", "peermem", "fabric_manager")
LISTS = (("nvme", "NVMe drives"), ("dimms", "Memory modules"), ("power_supplies", "Power supplies"))


def measure(node: Node, visit: Visit) -> None:
    """The machine first; then each GPU's NUMA node, other users and XIDs."""
    state: HostState | None = None
    with visit.part("node"):
        state = node.host()
        _machine(state, visit)
    if state is None:
        return
    log = _log(state, node.facts())
    told: dict[int, tuple[int, ...]] = {}
    for gpu in node.gpus:
        subject = gpu_subject(gpu)
        with visit.part(subject):
            numa = state.gpu_numa_nodes
            visit.measured("numa_node", subject, numa if isinstance(numa, Unavailable) else numa[gpu])
            told[gpu] = _xids(node, visit, gpu, log)
        with visit.part(subject):
            others = node.processes(gpu)
            visit.measured("other_processes", subject, others if isinstance(others, Unavailable) else len(others))
    _elsewhere(state, visit, log, told)


def _machine(state: HostState, visit: Visit) -> None:
    for name in SETTINGS:
        visit.measured(name, "node", getattr(state, name))
    readers = state.telemetry_readers
    visit.measured("telemetry_readers", "node", readers if isinstance(readers, Unavailable) else len(readers))
    for name, _ in LISTS:
        items: tuple[str, ...] | Unavailable = getattr(state, name)
        visit.measured(name, "node", items if isinstance(items, Unavailable) else ", ".join(items) or "none")
        visit.measured(f"{name}_count", "node", items if isinstance(items, Unavailable) else len(items))
    if isinstance(state.ports, Unavailable):
        for name in ("ports", "ports_active", "port_rate_lowest", "port_errors_new"):
            visit.measured(name, "node", state.ports)
        return
    active = [port for port in state.ports if port.state == "active"]
    visit.measured("ports", "node", ", ".join(f"{port.name} {_known(port.rate_gbps)}" for port in active) or "none")
    visit.measured("ports_active", "node", len(active))
    visit.measured("port_rate_lowest", "node", _least([port.rate_gbps for port in active]))
    visit.measured("port_errors_new", "node", _errors(active))


def _least(values: list[Reading]) -> Reading:
    missing = next((value for value in values if isinstance(value, Unavailable)), None)
    return missing or min((float(value) for value in values if not isinstance(value, Unavailable)), default=0.0)


def _errors(ports: list[Port]) -> Reading:
    counts = [count for port in ports for count in (port.symbol_errors, port.link_downed)]
    missing = next((count for count in counts if isinstance(count, Unavailable)), None)
    return missing or sum(int(count) for count in counts if not isinstance(count, Unavailable))


def _known(value: Reading) -> str:
    return "?" if isinstance(value, Unavailable) else f"{value:g}" if isinstance(value, int | float) else value


def _log(state: HostState, facts: NodeFacts) -> dict[int | None, list[int]] | Unavailable:
    """XIDs of the kernel log by GPU; None for those of a device that is no GPU which still answers."""
    if isinstance(state.kernel_events, Unavailable):
        return state.kernel_events
    by_address = {_address(gpu.pci_bus_id): gpu.index for gpu in facts.gpus}
    found: dict[int | None, list[int]] = {}
    for event in state.kernel_events:
        if event.kind == "xid":
            found.setdefault(by_address.get(_address(event.pci_address)), []).append(event.number)
    return found


def _address(text: str) -> tuple[int, ...]:
    """Domain, bus and device: NVML writes `00000000:1B:00.0`, the kernel's log `0000:1b:00`."""
    try:
        return tuple(int(part, 16) for part in text.split(".")[0].split(":"))
    except ValueError:
        return ()


def _xids(node: Node, visit: Visit, gpu: int, log: dict[int | None, list[int]] | Unavailable) -> tuple[int, ...]:
    """Count a GPU's XIDs by class: the log's, or those that NVML told where these are more. Returns NVML's."""
    told = node.xids(gpu)
    subject = gpu_subject(gpu)
    if isinstance(log, Unavailable) and isinstance(told, Unavailable):
        for name in ("xids", UNCLEAR, *(name for name, _, _ in CLASSES)):
            visit.measured(name, subject, log)
        return ()
    logged = () if isinstance(log, Unavailable) else tuple(log.get(gpu, ()))
    heard = () if isinstance(told, Unavailable) else told
    visit.measured("xids", subject, ", ".join(map(str, logged if len(logged) >= len(heard) else heard)) or "none")
    for name, numbers, _ in CLASSES:
        visit.measured(name, subject, max(sum(number in numbers for number in of) for of in (logged, heard)))
    known = FATAL | CONTAINED | REPAIR
    visit.measured(UNCLEAR, subject, max(sum(number not in known for number in of) for of in (logged, heard)))
    return heard


def _elsewhere(
    state: HostState, visit: Visit, log: dict[int | None, list[int]] | Unavailable, told: dict[int, tuple[int, ...]]
) -> None:
    """Events of switches, and XIDs of devices that are no GPU any more and that NVML did not tell of either."""
    if isinstance(log, Unavailable):
        for name in ("sxid_new", "xid_elsewhere_new"):
            visit.measured(name, "node", log)
        return
    events: tuple[KernelEvent, ...] = () if isinstance(state.kernel_events, Unavailable) else state.kernel_events
    visit.measured("sxid_new", "node", sum(event.kind == "sxid" for event in events))
    heard = sum(max(0, len(xids) - len(log.get(gpu, ()))) for gpu, xids in told.items())
    visit.measured("xid_elsewhere_new", "node", max(0, len(log.get(None, ())) - heard))


def _node(name: str, description: str, unit: str = "", kind: Kind = "read", better: Better = "neither") -> Metric:
    return Metric(name, unit, description, kind, better, "node")


CHECK = Check(
    name="host",
    purpose="XIDs and other users of the GPUs, and the machine around them: network, drives, memory, settings",
    scope="node",
    metrics=(
        *(Metric(name, "events", text, "difference", "lower") for name, _, text in CLASSES),
        Metric(UNCLEAR, "events", "New XIDs that may have several causes", "difference", "lower"),
        Metric("xids", "", "XIDs since the node was booted"),
        Metric("other_processes", "processes", "Compute processes of others", "counted", "lower"),
        Metric("numa_node", "", "NUMA node of the GPU (-1: the firmware does not say)", "counted"),
        _node("sxid_new", "New errors of NVSwitches (SXid)", "events", "difference", "lower"),
        _node("xid_elsewhere_new", "New XIDs of devices that no longer answer", "events", "difference", "lower"),
        _node("ports", "Active network ports with their rates in Gb/s"),
        _node("ports_active", "Active network ports", "ports", "counted", "higher"),
        _node("port_rate_lowest", "Rate of the slowest active network port", "Gb/s", "read", "higher"),
        _node("port_errors_new", "New symbol errors and losses of link of network ports", "events", "difference"),
        *(_node(name, f"{text} by serial number") for name, text in LISTS),
        *(_node(f"{name}_count", text, "pieces", "counted", "higher") for name, text in LISTS),
        _node("iommu", "IOMMU (off, passthrough or translated)"),
        _node("acs_redirect", "PCIe bridges that redirect peer traffic (ACS)", "bridges", "counted", "lower"),
        _node("governor", "Frequency governor of the CPUs"),
        _node("numa_balancing", "Automatic NUMA balancing (1 on)", "", "counted"),
        _node("peermem", "Module for RDMA to GPU memory"),
        _node("fabric_manager", "Service of the fabric manager"),
        _node("telemetry_readers", "Other programs that read the GPUs", "programs", "counted", "lower"),
    ),
    measure=measure,
    seconds=lambda parameters, gpus: 1.0 + 0.1 * gpus,
    detects=(
        "numa_wrong",
        "iommu_acs_on",
        "governor_powersave",
        "nic_port_slow",
        "nvme_missing",
        "dimm_missing",
        "other_process_running",
        "xid_94",
        "xid_79",
    ),
)
