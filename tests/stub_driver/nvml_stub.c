/* An NVML over the state file of stub.h: the entry points that nvidia-ml-py calls for gpuaccept, and no other.
 * A struct with the wrong version is refused, as the real library does. The defaults describe a healthy HGX B200:
 *   [gb200]  as in the `nvidia-smi -q -x` of a GB200 (driver 580), a relative of the B200
 *   [link]   as in the `nvidia-smi nvlink -s` of a GB200: 18 links of 53.125 GB/s
 *   [b200]   as published for the B200 (profiles/hardware/hgx-b200.yaml names the sources)
 *   others are invented. */
#include "stub.h"
#include <nvml.h>

#define API __attribute__((visibility("default"))) nvmlReturn_t
#define GPU(device) ((int)((size_t)(device) - 1))
#define ENTER() do { int e_ = enter(__func__, 0); if (e_) return (nvmlReturn_t)e_; } while (0)
#define ENTER_GPU(device) do { int e_ = enter(__func__, GPU(device)); if (e_) return (nvmlReturn_t)e_; if (num(GPU(device), "lost", 0)) return NVML_ERROR_GPU_IS_LOST; } while (0)
#define VERSION(s, v) do { if ((s)->version != (v)) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH; } while (0)

/* Getters that write one number or one string, from a key and its default. */
#define NUMBER(function, type, key, fallback) \
    API function(nvmlDevice_t device, type *out) { ENTER_GPU(device); *out = (type)num(GPU(device), key, fallback); return NVML_SUCCESS; }
#define STRING(function, key, fallback) \
    API function(nvmlDevice_t device, char *out, unsigned n) { ENTER_GPU(device); text(out, n, GPU(device), key, fallback); return NVML_SUCCESS; }

static unsigned long long keyed(nvmlDevice_t d, unsigned long long fallback, const char *format, ...) {
    char key[96];
    va_list a;
    va_start(a, format);
    vsnprintf(key, sizeof key, format, a);
    va_end(a);
    return (unsigned long long)num(GPU(d), key, (long long)fallback);
}

/* ---- system and handles ---- */

API nvmlInitWithFlags(unsigned flags) { ENTER(); return NVML_SUCCESS; }
API nvmlShutdown(void) { ENTER(); return NVML_SUCCESS; }
API nvmlSystemGetDriverVersion(char *s, unsigned n) { ENTER(); text(s, n, 0, "driver", "580.95.05"); return NVML_SUCCESS; }
API nvmlSystemGetNVMLVersion(char *s, unsigned n) { ENTER(); text(s, n, 0, "nvml", "13.580.95.05"); return NVML_SUCCESS; }
API nvmlSystemGetCudaDriverVersion_v2(int *v) { ENTER(); *v = (int)num(0, "cuda_version", 13000); return NVML_SUCCESS; }
API nvmlDeviceGetCount_v2(unsigned *n) { ENTER(); *n = gpu_count(); return NVML_SUCCESS; }
API nvmlDeviceGetHandleByIndex_v2(unsigned i, nvmlDevice_t *d) {
    ENTER();
    if ((int)i >= gpu_count()) return NVML_ERROR_INVALID_ARGUMENT;
    if (num(0, "nvml_reversed", 0)) i = gpu_count() - 1 - i;       /* NVML's order need not be CUDA's */
    *d = (nvmlDevice_t)(size_t)(i + 1);
    return num(i, "lost", 0) ? NVML_ERROR_GPU_IS_LOST : NVML_SUCCESS;
}
API nvmlDeviceGetUUID(nvmlDevice_t d, char *s, unsigned n) {
    unsigned char b[16];
    char fallback[64];
    ENTER_GPU(d);
    uuid_of(GPU(d), b);
    snprintf(fallback, sizeof fallback, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
    text(s, n, GPU(d), "uuid", fallback);
    return NVML_SUCCESS;
}
API nvmlDeviceGetPciInfo_v3(nvmlDevice_t d, nvmlPciInfo_t *p) {
    ENTER_GPU(d);
    memset(p, 0, sizeof *p);
    p->bus = bus_of(GPU(d));
    p->pciDeviceId = (unsigned)keyed(d, 0x290110DE, "pci_device_id");             /* [b200] */
    p->pciSubSystemId = (unsigned)keyed(d, 0x199910DE, "pci_subsystem_id");       /* [b200] */
    snprintf(p->busId, sizeof p->busId, "00000000:%02X:00.0", p->bus);
    snprintf(p->busIdLegacy, sizeof p->busIdLegacy, "0000:%02X:00.0", p->bus);
    return NVML_SUCCESS;
}
API nvmlDeviceGetSerial(nvmlDevice_t d, char *s, unsigned n) {
    char fallback[32];
    ENTER_GPU(d);
    snprintf(fallback, sizeof fallback, "165000000000%d", GPU(d));
    text(s, n, GPU(d), "serial", fallback);
    return NVML_SUCCESS;
}
STRING(nvmlDeviceGetName, "name", "NVIDIA B200")                                  /* [b200] */
STRING(nvmlDeviceGetBoardPartNumber, "board_part", "692-2G525-0220-000")
STRING(nvmlDeviceGetVbiosVersion, "vbios", "97.00.B9.00.69")                      /* [gb200] */
STRING(nvmlDeviceGetInforomImageVersion, "inforom", "G525.0220.00.03")
API nvmlDeviceGetModuleId(nvmlDevice_t d, unsigned *m) {
    static const unsigned sockets[] = {2, 4, 3, 1, 6, 8, 7, 5};  /* the socket does not follow PCI order */
    ENTER_GPU(d);
    *m = (unsigned)keyed(d, GPU(d) < 8 ? sockets[GPU(d)] : GPU(d) + 1, "module");
    return NVML_SUCCESS;
}
API nvmlDeviceGetCudaComputeCapability(nvmlDevice_t d, int *major, int *minor) { ENTER_GPU(d); *major = (int)keyed(d, 10, "attribute75"); *minor = (int)keyed(d, 0, "attribute76"); return NVML_SUCCESS; }
API nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t d, nvmlMemory_v2_t *m) {
    ENTER_GPU(d);
    VERSION(m, nvmlMemory_v2);
    m->total = keyed(d, 183359, "memory_total_mib") << 20;       /* [b200]; CUDA has memory_mb of it on the stub */
    m->reserved = 742ull << 20;                                  /* [gb200] */
    m->used = 0;
    m->free = m->total - m->reserved;
    return NVML_SUCCESS;
}

/* ---- ECC, row remapping, repair: all zero as in [gb200] ---- */

API nvmlDeviceGetEccMode(nvmlDevice_t d, nvmlEnableState_t *now, nvmlEnableState_t *pending) { ENTER_GPU(d); *now = (nvmlEnableState_t)keyed(d, 1, "ecc"); *pending = (nvmlEnableState_t)keyed(d, *now, "ecc_pending"); return NVML_SUCCESS; }
API nvmlDeviceGetMemoryErrorCounter(nvmlDevice_t d, nvmlMemoryErrorType_t t, nvmlEccCounterType_t c, nvmlMemoryLocation_t l, unsigned long long *n) { ENTER_GPU(d); *n = keyed(d, 0, "ecc.%d.%d.%d", t, c, l); return NVML_SUCCESS; }
API nvmlDeviceGetSramEccErrorStatus(nvmlDevice_t d, nvmlEccSramErrorStatus_t *s) {
    ENTER_GPU(d);
    VERSION(s, nvmlEccSramErrorStatus_v1);
    memset((char *)s + sizeof s->version, 0, sizeof *s - sizeof s->version);
    s->aggregateUncSecDed = keyed(d, 0, "sram_uncorrected_aggregate");
    s->volatileUncSecDed = keyed(d, 0, "sram_uncorrected");
    s->aggregateUncParity = s->volatileUncParity = keyed(d, 0, "sram_parity");
    s->aggregateCor = s->volatileCor = keyed(d, 0, "sram_corrected");
    s->bThresholdExceeded = (unsigned)keyed(d, 0, "sram_threshold_exceeded");
    return NVML_SUCCESS;
}
API nvmlDeviceGetRemappedRows(nvmlDevice_t d, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failure) {
    ENTER_GPU(d);
    *corrected = keyed(d, 0, "rows.corrected");
    *uncorrected = keyed(d, 0, "rows.uncorrected");
    *pending = keyed(d, 0, "rows.pending");
    *failure = keyed(d, 0, "rows.failure");
    return NVML_SUCCESS;
}
API nvmlDeviceGetRowRemapperHistogram(nvmlDevice_t d, nvmlRowRemapperHistogramValues_t *h) {
    ENTER_GPU(d);
    *h = (nvmlRowRemapperHistogramValues_t){.max = keyed(d, 3968, "histogram.max"), .high = 0, .partial = 0, .low = keyed(d, 0, "histogram.low"), .none = keyed(d, 0, "histogram.none")};
    return NVML_SUCCESS;
}
API nvmlDeviceGetRepairStatus(nvmlDevice_t d, nvmlRepairStatus_t *s) { ENTER_GPU(d); VERSION(s, nvmlRepairStatus_v1); s->bChannelRepairPending = keyed(d, 0, "repair.channel"); s->bTpcRepairPending = keyed(d, 0, "repair.tpc"); return NVML_SUCCESS; }

/* One value a (field, scope), key field<ID>.<scope> or field<ID>; -1, or a field that is not listed: not supported. */
static long long field_default(unsigned id) {
    switch (id) {
    case NVML_FI_DEV_MEMORY_TEMP: return 27;                                      /* [gb200] */
    case NVML_FI_DEV_POWER_AVERAGE: return 165930;                                /* [gb200] */
    case NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_POWER_CAP: return 2354613000LL;       /* [gb200] */
    case NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN:
    case NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN:
    case NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN:
    case NVML_FI_DEV_GET_GPU_RECOVERY_ACTION: return 0;                           /* [gb200] */
    case NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION: return 123456789;
    case NVML_FI_DEV_NVLINK_LINK_COUNT: return 18;                                /* [link] */
    case NVML_FI_DEV_NVLINK_GET_SPEED: return 53125;                              /* [link] */
    case NVML_FI_DEV_NVLINK_GET_STATE: return NVML_NVLINK_STATE_ACTIVE;           /* [link] */
    case NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_EVENTS:
    case NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_FAILED_EVENTS:
    case NVML_FI_DEV_NVLINK_COUNT_EFFECTIVE_ERRORS:
    case NVML_FI_DEV_NVLINK_COUNT_SYMBOL_ERRORS: return 0;
    }
    return -1;                                   /* Blackwell lacks 161 to 163, which NVLink 4 has */
}
API nvmlDeviceGetFieldValues(nvmlDevice_t d, int n, nvmlFieldValue_t *v) {
    ENTER_GPU(d);
    for (int i = 0; i < n; i++) {
        char key[64];
        snprintf(key, sizeof key, "field%u", v[i].fieldId);
        long long value = num(GPU(d), key, field_default(v[i].fieldId));
        snprintf(key, sizeof key, "field%u.%u", v[i].fieldId, v[i].scopeId);
        value = num(GPU(d), key, value);
        v[i].valueType = NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
        v[i].value.ullVal = (unsigned long long)value;
        v[i].nvmlReturn = value < 0 ? NVML_ERROR_NOT_SUPPORTED : NVML_SUCCESS;
        v[i].timestamp = 0;
    }
    return NVML_SUCCESS;
}

/* ---- temperature, power, clocks ---- */

NUMBER(nvmlDeviceGetPowerUsage, unsigned, "power_mw", 165930)                     /* [gb200] */
NUMBER(nvmlDeviceGetEnforcedPowerLimit, unsigned, "power_limit_mw", 1000000)      /* [b200] */
NUMBER(nvmlDeviceGetCurrentClocksEventReasons, unsigned long long, "clocks_event_reasons", nvmlClocksEventReasonGpuIdle) /* [gb200] */
API nvmlDeviceGetTemperatureV(nvmlDevice_t d, nvmlTemperature_t *t) { ENTER_GPU(d); VERSION(t, nvmlTemperature_v1); t->temperature = (int)keyed(d, 27, "temperature"); return NVML_SUCCESS; /* [gb200] */ }
API nvmlDeviceGetMarginTemperature(nvmlDevice_t d, nvmlMarginTemperature_t *t) { ENTER_GPU(d); VERSION(t, nvmlMarginTemperature_v1); t->marginTemperature = (int)keyed(d, 60, "margin"); return NVML_SUCCESS; /* [gb200] */ }
API nvmlDeviceGetClockInfo(nvmlDevice_t d, nvmlClockType_t k, unsigned *mhz) { ENTER_GPU(d); *mhz = keyed(d, k == NVML_CLOCK_MEM ? 3996 : 120, "clock%d", k); return NVML_SUCCESS; }
API nvmlDeviceGetMaxClockInfo(nvmlDevice_t d, nvmlClockType_t k, unsigned *mhz) { ENTER_GPU(d); *mhz = keyed(d, k == NVML_CLOCK_MEM ? 3996 : 1965, "max_clock%d", k); return NVML_SUCCESS; /* [b200] */ }

/* ---- NVLink and fabric ---- */

API nvmlDeviceGetNvLinkState(nvmlDevice_t d, unsigned l, nvmlEnableState_t *v) { ENTER_GPU(d); *v = keyed(d, 1, "link%u.state", l); return NVML_SUCCESS; }
API nvmlDeviceGetNvLinkVersion(nvmlDevice_t d, unsigned l, unsigned *v) { ENTER_GPU(d); *v = keyed(d, 7 /* NVML_NVLINK_VERSION_5_0 */, "link%u.version", l); return NVML_SUCCESS; }
API nvmlDeviceGetNvLinkRemotePciInfo_v2(nvmlDevice_t d, unsigned l, nvmlPciInfo_t *p) { ENTER_GPU(d); memset(p, 0, sizeof *p); text(p->busId, sizeof p->busId, GPU(d), "switch", l % 2 ? "00000000:06:00.0" : "00000000:05:00.0"); return NVML_SUCCESS; }
API nvmlDeviceGetNvLinkRemoteDeviceType(nvmlDevice_t d, unsigned l, nvmlIntNvLinkDeviceType_t *t) { ENTER_GPU(d); *t = (nvmlIntNvLinkDeviceType_t)keyed(d, NVML_NVLINK_DEVICE_TYPE_SWITCH, "link%u.remote_type", l); return NVML_SUCCESS; }
API nvmlDeviceGetGpuFabricInfoV(nvmlDevice_t d, nvmlGpuFabricInfoV_t *f) {
    ENTER_GPU(d);
    int v3 = f->version == nvmlGpuFabricInfo_v3 && !num(GPU(d), "fabric.old", 0);
    if (f->version != nvmlGpuFabricInfo_v2 && !v3) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    memset(f->clusterUuid, 0, sizeof f->clusterUuid);
    f->status = (nvmlReturn_t)keyed(d, 0, "fabric.status");
    f->cliqueId = 0;
    f->state = (nvmlGpuFabricState_t)keyed(d, NVML_GPU_FABRIC_STATE_COMPLETED, "fabric.state");
    f->healthMask = keyed(d, 0, "fabric.health");
    if (v3) f->healthSummary = keyed(d, NVML_GPU_FABRIC_HEALTH_SUMMARY_NOT_SUPPORTED, "fabric.summary");  /* v2 is shorter */
    return NVML_SUCCESS;
}

/* ---- modes, processes, topology ---- */

NUMBER(nvmlDeviceGetPersistenceMode, nvmlEnableState_t, "persistence", 1)         /* [gb200] */
NUMBER(nvmlDeviceGetComputeMode, nvmlComputeMode_t, "compute_mode", 0)            /* [gb200] */
API nvmlDeviceGetMigMode(nvmlDevice_t d, unsigned *now, unsigned *pending) { ENTER_GPU(d); *now = *pending = keyed(d, 0, "mig"); return NVML_SUCCESS; }
API nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t d, unsigned *n, nvmlProcessInfo_t *p) {
    ENTER_GPU(d);
    unsigned have = keyed(d, 0, "processes"), room = *n;
    *n = have;
    if (have > room) return NVML_ERROR_INSUFFICIENT_SIZE;        /* pynvml asks with 0 first, then again with room */
    for (unsigned i = 0; i < have; i++) p[i] = (nvmlProcessInfo_t){.pid = 4242 + i, .usedGpuMemory = 1 << 20, .gpuInstanceId = ~0u, .computeInstanceId = ~0u};
    return NVML_SUCCESS;
}
API nvmlDeviceGetP2PStatus(nvmlDevice_t a, nvmlDevice_t b, nvmlGpuP2PCapsIndex_t i, nvmlGpuP2PStatus_t *s) { ENTER_GPU(a); *s = (nvmlGpuP2PStatus_t)keyed(a, 0, "p2p%d", GPU(b)); return NVML_SUCCESS; }
API nvmlDeviceGetTopologyCommonAncestor(nvmlDevice_t a, nvmlDevice_t b, nvmlGpuTopologyLevel_t *l) { ENTER_GPU(a); *l = (nvmlGpuTopologyLevel_t)keyed(a, GPU(a) / 4 == GPU(b) / 4 ? NVML_TOPOLOGY_NODE : NVML_TOPOLOGY_SYSTEM, "topology%d", GPU(b)); return NVML_SUCCESS; }
API nvmlSystemGetConfComputeState(nvmlConfComputeSystemState_t *s) { ENTER(); memset(s, 0, sizeof *s); s->ccFeature = (unsigned)num(0, "cc", 0); return NVML_SUCCESS; }
