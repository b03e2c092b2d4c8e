"""The catalogue of named faults, one file an area."""

from gpuaccept.device.mock.catalogue import compute, host, inventory, links, memory, pcie, soak
from gpuaccept.device.mock.catalogue.entry import Entry

CATALOGUE: tuple[Entry, ...] = (
    *inventory.FAULTS,
    *memory.FAULTS,
    *compute.FAULTS,
    *links.FAULTS,
    *pcie.FAULTS,
    *host.FAULTS,
    *soak.FAULTS,
)
