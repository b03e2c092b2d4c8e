"""What is around the GPUs: XIDs, other users, network, drives, memory, supplies, and how the machine is set up.

Only what is new in the run is counted of XIDs: a kernel log remembers, and a node may have been in use before.
"""

from collections import Counter

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

# XIDs by what follows from them, after the immediate and the investigatory action of NVIDIA's XID catalogue
# (docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html). All others, and those that software causes as a rule
# (13, 31, 43, 45 …), are a reason to look: only known kernels ran.
FATAL = frozenset({48, 64, 95, 140, 157, 171, 172})
LOST = frozenset({79})
LINK = frozenset({74, 136})
LINK_IF_FATAL = frozenset(range(144, 151))
RESET = frozenset({46, 62, 109, 110, 119, 120, 143, 155, 158})
CONTAINED = frozenset({94})
REPAIR = frozenset({63, 154, 156, 160, 161})
CLASSES = (
    ("xid_fatal_new", FATAL, "New XIDs of a failed GPU or memory"),
    ("xid_lost_new", LOST, "New XIDs of a GPU that fell off the bus"),
    ("xid_link_new", LINK, "New XIDs of NVLinks that failed"),
    ("xid_reset_new", RESET, "New XIDs of a GPU that stopped and asks for a reset"),
    ("xid_contained_new", CONTAINED, "New XIDs of contained memory errors"),
    ("xid_repair_new", REPAIR, "New XIDs that ask for a reset or a repair"),
)
UNCLEAR = "xid_unclear_new"
MOST_TOLD = 20
"""XIDs or SXids of different kinds that are listed: the last ones."""
SETTINGS = ("iommu", "acs_redirect", "governor", "numa_balancing", "peermem", "fabric_manager")
LISTS = (("nvme", "NVMe drives"), ("dimms", "Memory modules"), ("power_supplies", "Power supplies"))


Log = dict[int | None, list[KernelEvent]] | Unavailable


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


def _log(state: HostState, facts: NodeFacts) -> dict[int | None, list[KernelEvent]] | Unavailable:
    """XIDs of the kernel log by GPU; None for those of a device that is no GPU which still answers."""
    if isinstance(state.kernel_events, Unavailable):
        return state.kernel_events
    by_address = {_address(gpu.pci_bus_id): gpu.index for gpu in facts.gpus}
    found: dict[int | None, list[KernelEvent]] = {}
    for event in state.kernel_events:
        if event.kind == "xid":
            found.setdefault(by_address.get(_address(event.pci_address)), []).append(event)
    return found


def _address(text: str) -> tuple[int, ...]:
    """Domain, bus and device: NVML writes `00000000:1B:00.0`, the kernel's log `0000:1b:00`."""
    try:
        return tuple(int(part, 16) for part in text.split(".")[0].split(":"))
    except ValueError:
        return ()


def _xids(node: Node, visit: Visit, gpu: int, log: Log) -> tuple[int, ...]:
    """Count a GPU's XIDs by class: the log's, or those that NVML told where these are more. Returns NVML's."""
    told = node.xids(gpu)
    subject = gpu_subject(gpu)
    if isinstance(log, Unavailable) and isinstance(told, Unavailable):
        for name in ("xids", UNCLEAR, *(name for name, _, _ in CLASSES)):
            visit.measured(name, subject, log)
        return ()
    logged = [] if isinstance(log, Unavailable) else log.get(gpu, [])
    heard = () if isinstance(told, Unavailable) else told
    # NVML tells numbers alone: how grave one of them was is what the log says of the same number, if it does
    severities = {event.number: event.severity for event in logged}
    of_log = Counter(_class(event.number, event.severity) for event in logged)
    of_nvml = Counter(_class(number, severities.get(number, "")) for number in heard)
    words = [_words(event) for event in logged] if len(logged) >= len(heard) else list(map(str, heard))
    visit.measured("xids", subject, _told(words))
    for name in (UNCLEAR, *(name for name, _, _ in CLASSES)):
        visit.measured(name, subject, max(of_log[name], of_nvml[name]))
    return heard


def _class(number: int, severity: str) -> str:
    if number in LINK_IF_FATAL and severity == "fatal":
        return "xid_link_new"
    return next((name for name, numbers, _ in CLASSES if number in numbers), UNCLEAR)


def _words(event: KernelEvent) -> str:
    """`149 fatal link 8`, `nvswitch3 link 30: 20034 fatal`."""
    link = f" link {event.link}" if event.link >= 0 else ""
    what = f"{event.number} {event.severity}".rstrip()
    return f"{event.switch or 'switch'}{link}: {what}" if event.kind == "sxid" else f"{what}{link}"


def _told(words: list[str]) -> str:
    counted = Counter(reversed(words))
    last = list(counted.items())[:MOST_TOLD]
    return ", ".join(word if count == 1 else f"{word} ×{count}" for word, count in reversed(last)) or "none"


def _elsewhere(state: HostState, visit: Visit, log: Log, told: dict[int, tuple[int, ...]]) -> None:
    """Events of switches, and XIDs of devices that are no GPU any more and that NVML did not tell of either."""
    if isinstance(log, Unavailable):
        for name in ("sxid_fatal_new", "sxid_nonfatal_new", "sxids", "xid_elsewhere_new"):
            visit.measured(name, "node", log)
        return
    events: tuple[KernelEvent, ...] = () if isinstance(state.kernel_events, Unavailable) else state.kernel_events
    switches = [event for event in events if event.kind == "sxid"]
    minor = sum(event.severity == "non-fatal" for event in switches)
    visit.measured("sxid_nonfatal_new", "node", minor)
    visit.measured("sxid_fatal_new", "node", len(switches) - minor)  # one that does not say is taken as the graver
    visit.measured("sxids", "node", _told(list(map(_words, switches))))
    heard = sum(max(0, len(xids) - len(log.get(gpu, ()))) for gpu, xids in told.items())
    visit.measured("xid_elsewhere_new", "node", max(0, len(log.get(None, ())) - heard))


def _node(
    name: str, description: str, unit: str = "", kind: Kind = "read", better: Better = "neither", named_by: str = ""
) -> Metric:
    return Metric(name, unit, description, kind, better, "node", named_by=named_by)


REMEDIES = {
    "other_processes": "`nvidia-smi` lists them: let them end, or drain the node first.",
    "numa_node": "Look in the BIOS set-up (NPS, sub-NUMA clustering), and at which riser the GPU hangs.",
    "iommu": "`iommu=pt` on the kernel's command line, then reboot the node.",
    "acs_redirect": "Switch ACS off in the BIOS set-up, or by setpci at every boot.",
    "governor": "`cpupower frequency-set -g performance`, or the performance profile of the BIOS set-up.",
    "numa_balancing": "`sysctl -w kernel.numa_balancing=0`, and the same line in /etc/sysctl.d for good.",
    "fabric_manager": "`systemctl enable --now nvidia-fabricmanager`; `journalctl -u nvidia-fabricmanager` says why it"
    " does not run.",
}

CHECK = Check(
    name="host",
    purpose="XIDs and other users of the GPUs, and the machine around them: network, drives, memory, settings",
    scope="node",
    metrics=(
        *(Metric(name, "events", text, "difference", "lower", named_by="xids") for name, _, text in CLASSES),
        Metric(UNCLEAR, "events", "New XIDs that may have several causes", "difference", "lower", named_by="xids"),
        Metric("xids", "", "XIDs since the node was booted"),
        Metric("other_processes", "processes", "Compute processes of others", "counted", "lower"),
        Metric("numa_node", "", "NUMA node of the GPU (-1: the firmware does not say)", "counted"),
        _node("sxid_fatal_new", "New fatal errors of NVSwitches (SXid)", "events", "difference", "lower", "sxids"),
        _node("sxid_nonfatal_new", "New errors of NVSwitches that go on", "events", "difference", "lower", "sxids"),
        _node("sxids", "SXids since the node was booted, with switch and link"),
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
    remedies=REMEDIES,
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
        "xid_119",
        "xid_149",
        "sxid_fatal",
        "sxid_nonfatal",
    ),
)
