"""What is in the node, and how it is set up: identities, counts, versions, modes and limits of every GPU."""

from gpuaccept.check import Check, DeviceError, GpuFacts, Metric, Node, NodeFacts, Unavailable, Visit, gpu_subject

FABRIC_MANAGER_UNKNOWN = Unavailable("fabric manager version", 0, "the version of the fabric manager is not known")

CUDA_UNKNOWN = Unavailable("cuInit", 0, "CUDA does not answer: no progress in its first call")
CUDA_IN_MIG = Unavailable("cuDeviceGetCount", 0, "CUDA does not see a GPU in MIG mode: how many it finds tells nothing")


def _node(name: str, description: str, unit: str = "", counted: bool = True) -> Metric:
    return Metric(name, unit, description, kind="counted" if counted else "read", subject="node")


def _read(name: str, description: str, unit: str = "") -> Metric:
    return Metric(name, unit, description)


METRICS = (
    _node("gpu_count_pci", "GPUs on the PCI bus", "GPUs"),
    _node("gpu_count_nvml", "GPUs that NVML finds", "GPUs"),
    _node("gpu_count_cuda", "GPUs that CUDA finds", "GPUs"),
    _node("driver_version", "Version of the driver", counted=False),
    _node("fabric_manager_version", "Version of the fabric manager", counted=False),
    _node("fabric_manager_matches_driver", "Fabric manager of the driver's version (1 yes, 0 no)"),
    _read("model", "GPU model"),
    _read("pci_device_id", "PCI device id"),
    _read("pci_subsystem_id", "PCI subsystem id"),
    _read("serial", "Serial number"),
    _read("uuid", "UUID"),
    _read("board_part_number", "Board part number"),
    _read("vbios", "VBIOS version"),
    _read("inforom_image", "InfoROM image version"),
    _read("inforom", "State of the InfoROM"),
    Metric("module_id", "", "Module id: the socket on the baseboard", kind="counted"),
    _read("memory_total", "Memory that NVML reports", "MiB"),
    Metric("sm_count", "SMs", "Streaming multiprocessors", kind="counted"),
    _read("ecc_mode", "ECC mode"),
    _read("ecc_mode_pending", "ECC mode after the next reset"),
    _read("mig_mode", "MIG mode"),
    _read("mig_mode_pending", "MIG mode after the next reset"),
    _read("persistence_mode", "Persistence mode"),
    _read("compute_mode", "Compute mode"),
    _read("cc_mode", "Confidential computing mode"),
    _read("power_limit_enforced", "Enforced power limit", "W"),
    _read("sm_clock_max", "Highest SM clock", "MHz"),
    _read("memory_clock_max", "Highest memory clock", "MHz"),
    _read("recovery_action", "Recovery action that the driver asks for"),
)


_ECC = "`nvidia-smi{gpu} --ecc-config=1` switches ECC on (0: off); then reboot the node."
_MIG = "`nvidia-smi{gpu} -mig 0` switches MIG off (1: on); then reset the GPU or reboot the node."
_FIRMWARE = "Bring all GPUs to one release of the firmware with the supplier's update tool."

REMEDIES = {
    "ecc_mode": _ECC,
    "ecc_mode_pending": _ECC,
    "mig_mode": _MIG,
    "mig_mode_pending": _MIG,
    "persistence_mode": "`nvidia-smi{gpu} -pm 1` until the next boot,"
    " `systemctl enable --now nvidia-persistenced` for good.",
    "compute_mode": "`nvidia-smi{gpu} -c 0` sets the default compute mode.",
    "cc_mode": "NVIDIA's gpu-admin-tools (`--set-cc-mode`) switch confidential computing while the GPU is idle.",
    "power_limit_enforced": "`nvidia-smi{gpu} -pl WATTS` sets it; a cap by the BMC or the rack's power manager"
    " stands above it.",
    "fabric_manager_matches_driver": "Install the fabric manager of the driver's own version, then"
    " `systemctl restart nvidia-fabricmanager`.",
    "vbios": _FIRMWARE,
    "inforom_image": _FIRMWARE,
}
"""Options as `man nvidia-smi` has them."""


def measure(node: Node, visit: Visit) -> None:
    """Read the node's facts anew, then every GPU's settings."""
    facts = node.facts()
    _measure_node(facts, visit)
    by_index = {gpu.index: gpu for gpu in facts.gpus}
    mig = False
    for gpu in node.gpus:
        subject = gpu_subject(gpu)
        with visit.part(subject):
            if gpu not in by_index:
                raise DeviceError("nvmlDeviceGetHandleByPciBusId", 15, "GPU is lost: NVML no longer lists it", gpu)
            _measure_identity(by_index[gpu], subject, visit)
        with visit.part(subject):
            settings = node.settings(gpu)
            mig |= settings.mig_mode == "enabled"
            for name in ("ecc_mode", "ecc_mode_pending", "mig_mode", "mig_mode_pending", "persistence_mode"):
                visit.measured(name, subject, getattr(settings, name))
            for name in ("compute_mode", "cc_mode", "recovery_action", "inforom"):
                visit.measured(name, subject, getattr(settings, name))
            limit = settings.power_limit_enforced_mw
            visit.measured("power_limit_enforced", subject, limit / 1000 if isinstance(limit, int | float) else limit)
            visit.measured("sm_clock_max", subject, settings.sm_clock_max_mhz)
            visit.measured("memory_clock_max", subject, settings.memory_clock_max_mhz)
    if facts.gpu_count_cuda < 0:
        visit.measured("gpu_count_cuda", "node", CUDA_IN_MIG if mig else CUDA_UNKNOWN)


def _measure_node(facts: NodeFacts, visit: Visit) -> None:
    visit.measured("gpu_count_pci", "node", facts.gpu_count_pci)
    visit.measured("gpu_count_nvml", "node", facts.gpu_count_nvml)
    if facts.gpu_count_cuda >= 0:
        visit.measured("gpu_count_cuda", "node", facts.gpu_count_cuda)
    visit.measured("driver_version", "node", facts.driver_version)
    manager = facts.fabric_manager_version
    visit.measured("fabric_manager_version", "node", manager or FABRIC_MANAGER_UNKNOWN)
    matches = int(manager == facts.driver_version) if manager else FABRIC_MANAGER_UNKNOWN
    visit.measured("fabric_manager_matches_driver", "node", matches)


def _measure_identity(gpu: GpuFacts, subject: str, visit: Visit) -> None:
    visit.measured("model", subject, gpu.name)
    for name in ("pci_device_id", "pci_subsystem_id", "uuid"):
        visit.measured(name, subject, getattr(gpu, name))
    visit.measured("memory_total", subject, gpu.memory_total_bytes / (1 << 20))
    for name in ("serial", "board_part_number", "vbios", "inforom_image", "module_id", "sm_count"):
        value = getattr(gpu, name)
        visit.measured(name, subject, Unavailable(name, 3, "the driver does not tell") if value is None else value)


CHECK = Check(
    name="inventory",
    purpose="Identities, counts, versions and settings of the node and its GPUs",
    scope="node",
    metrics=METRICS,
    measure=measure,
    remedies=REMEDIES,
    seconds=lambda parameters, gpus: 0.5 + 0.2 * gpus,
    detects=(
        "gpu_missing",
        "gpu_wrong_model",
        "gpu_swapped",
        "serial_duplicate",
        "vbios_mixed",
        "firmware_mixed",
        "inforom_corrupt",
        "ecc_off",
        "mig_left_on",
        "power_limit_low",
        "driver_wrong_version",
    ),
)
