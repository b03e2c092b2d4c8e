/* An NVML over the state file of stub.h: the entry points that nvidia-ml-py calls for gpuaccept, and no other.
 * A struct with the wrong version is refused, as the real library does. Defaults and where they are from: nvml_defaults.h.
 *
 *   fault.nvmlX=CODE[@n]            3 not supported, 4 no permission, 13 not in this driver, 15 lost, 25 wrong version …
 *   gpu2.lost=1                     gone from the bus; gpu2.lost_after=100 after that many calls of a process on it
 *   field185=-1                     a field that is not supported; fielderror185=4 gives it another code
 *   link3.remote_type=0 link3.remote_id=00000000:05:00.0 field165.3=0   of one link: fields take the link as scope
 *   gpu1.xid=48,94                  XIDs that happened; events are told of those that come after a process registered
 *   gpu1.pids=4242,4243             compute processes
 *   pcie.gen_idle=1                 the generation of a link that nothing was copied over for a second
 *   persistence=0                   volatile counters restart when the last client has left
 *   gpu1.inforom_corrupt=1          what stands in the InfoROM can't be read, and its checksums are wrong
 *   platform=1                      platform information, as a rack has it */
#include "stub.h"
#include <nvml.h>
#include "nvml_defaults.h"
#include "nvml_clients.h"

#define API __attribute__((visibility("default"))) nvmlReturn_t
#define GPU(device) ((int)((size_t)(device) - 1))
#define ENTER() do { int e_ = enter(__func__, 0); if (e_) return (nvmlReturn_t)e_; } while (0)
#define ENTER_GPU(device) do { int e_ = enter(__func__, GPU(device)); if (e_) return (nvmlReturn_t)e_; if (lost(GPU(device))) return NVML_ERROR_GPU_IS_LOST; } while (0)
#define VERSION(s, v) do { if ((s)->version != (v)) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH; } while (0)

/* Getters that write one number or one string of the same key. */
#define NUMBER(function, type, key) \
    API function(nvmlDevice_t device, type *out) { ENTER_GPU(device); *out = (type)value(GPU(device), key); return NVML_SUCCESS; }
#define STRING(function, key) \
    API function(nvmlDevice_t device, char *out, unsigned n) { ENTER_GPU(device); words(out, n, GPU(device), key); return NVML_SUCCESS; }

static int lost(int gpu) {
    static long calls[MAX_GPUS + 1];
    long long after = num(gpu, "lost_after", 0);
    return num(gpu, "lost", 0) || (after && ++calls[gpu] > after);
}

static unsigned long long keyed(nvmlDevice_t d, unsigned long long fallback, const char *format, ...) {
    char key[96];
    va_list a;
    va_start(a, format);
    vsnprintf(key, sizeof key, format, a);
    va_end(a);
    return (unsigned long long)num(GPU(d), key, (long long)fallback);
}

/* ---- system and handles ---- */

API nvmlInitWithFlags(unsigned flags) { ENTER(); client_comes(); return NVML_SUCCESS; }
API nvmlShutdown(void) { ENTER(); client_leaves(); return NVML_SUCCESS; }
API nvmlSystemGetDriverVersion(char *s, unsigned n) { ENTER(); words(s, n, 0, "driver"); return NVML_SUCCESS; }
API nvmlSystemGetNVMLVersion(char *s, unsigned n) { ENTER(); words(s, n, 0, "nvml"); return NVML_SUCCESS; }
API nvmlSystemGetCudaDriverVersion_v2(int *v) { ENTER(); *v = (int)value(0, "cuda_version"); return NVML_SUCCESS; }
API nvmlSystemGetProcessName(unsigned pid, char *s, unsigned n) {
    char key[32];
    ENTER();
    snprintf(key, sizeof key, "process%u", pid);
    return text(s, n, 0, key, "")[0] ? NVML_SUCCESS : NVML_ERROR_NOT_FOUND;
}
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
API nvmlDeviceGetHandleByPciBusId_v2(const char *id, nvmlDevice_t *d) {
    unsigned domain, bus;
    ENTER();
    if (sscanf(id, "%x:%x:", &domain, &bus) != 2) return NVML_ERROR_INVALID_ARGUMENT;
    for (int i = 0; i < gpu_count(); i++)
        if ((unsigned)bus_of(i) == bus) {
            *d = (nvmlDevice_t)(size_t)(i + 1);
            return num(i, "lost", 0) ? NVML_ERROR_GPU_IS_LOST : NVML_SUCCESS;
        }
    return NVML_ERROR_NOT_FOUND;
}
API nvmlDeviceGetPciInfo_v3(nvmlDevice_t d, nvmlPciInfo_t *p) {
    ENTER_GPU(d);
    memset(p, 0, sizeof *p);
    p->bus = bus_of(GPU(d));
    p->pciDeviceId = (unsigned)value(GPU(d), "pci_device_id");
    p->pciSubSystemId = (unsigned)value(GPU(d), "pci_subsystem_id");
    snprintf(p->busId, sizeof p->busId, "00000000:%02X:00.0", p->bus);
    snprintf(p->busIdLegacy, sizeof p->busIdLegacy, "0000:%02X:00.0", p->bus);
    return NVML_SUCCESS;
}
API nvmlDeviceGetSerial(nvmlDevice_t d, char *s, unsigned n) {
    char fallback[32];
    ENTER_GPU(d);
    if (num(GPU(d), "inforom_corrupt", 0)) return NVML_ERROR_CORRUPTED_INFOROM;
    words(fallback, sizeof fallback - 2, GPU(d), "serial_prefix");
    snprintf(fallback + strlen(fallback), 3, "%d", GPU(d));
    text(s, n, GPU(d), "serial", fallback);
    return NVML_SUCCESS;
}
STRING(nvmlDeviceGetName, "name")
#define IN_INFOROM(device) do { if (num(GPU(device), "inforom_corrupt", 0)) return NVML_ERROR_CORRUPTED_INFOROM; } while (0)
API nvmlDeviceGetBoardPartNumber(nvmlDevice_t d, char *s, unsigned n) { ENTER_GPU(d); IN_INFOROM(d); words(s, n, GPU(d), "board_part"); return NVML_SUCCESS; }
API nvmlDeviceGetInforomImageVersion(nvmlDevice_t d, char *s, unsigned n) { ENTER_GPU(d); IN_INFOROM(d); words(s, n, GPU(d), "inforom"); return NVML_SUCCESS; }
API nvmlDeviceValidateInforom(nvmlDevice_t d) { ENTER_GPU(d); IN_INFOROM(d); return NVML_SUCCESS; }
STRING(nvmlDeviceGetVbiosVersion, "vbios")
API nvmlDeviceGetModuleId(nvmlDevice_t d, unsigned *m) {
    ENTER_GPU(d);
    *m = (unsigned)keyed(d, GPU(d) < 8 ? SOCKETS[GPU(d)] : (unsigned)GPU(d) + 1, "module");
    return NVML_SUCCESS;
}
API nvmlDeviceGetPlatformInfo(nvmlDevice_t d, nvmlPlatformInfo_v2_t *p) {
    char serial[32];
    ENTER_GPU(d);
    VERSION(p, nvmlPlatformInfo_v2);
    if (!num(GPU(d), "platform", 0)) return NVML_ERROR_NOT_SUPPORTED;
    memset((char *)p + sizeof p->version, 0, sizeof *p - sizeof p->version);
    words(serial, sizeof serial, GPU(d), "chassis_serial");
    memcpy(p->chassisSerialNumber, serial, strnlen(serial, sizeof p->chassisSerialNumber));
    p->slotNumber = (unsigned char)value(GPU(d), "platform.slot");
    p->trayIndex = (unsigned char)value(GPU(d), "platform.tray");
    p->hostId = (unsigned char)value(GPU(d), "platform.host");
    p->moduleId = (unsigned char)keyed(d, GPU(d) + 1, "platform.module");
    return NVML_SUCCESS;
}
API nvmlDeviceGetCudaComputeCapability(nvmlDevice_t d, int *major, int *minor) { ENTER_GPU(d); *major = (int)value(GPU(d), "attribute75"); *minor = (int)value(GPU(d), "attribute76"); return NVML_SUCCESS; }
API nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t d, nvmlMemory_v2_t *m) {
    ENTER_GPU(d);
    VERSION(m, nvmlMemory_v2);
    m->total = (unsigned long long)value(GPU(d), "memory_total_mib") << 20;
    m->reserved = (unsigned long long)value(GPU(d), "memory_reserved_mib") << 20;
    m->used = 0;
    m->free = m->total - m->reserved;
    return NVML_SUCCESS;
}

/* ---- ECC, row remapping, repair: all zero as in both captures ---- */

API nvmlDeviceGetEccMode(nvmlDevice_t d, nvmlEnableState_t *now, nvmlEnableState_t *pending) { ENTER_GPU(d); *now = (nvmlEnableState_t)value(GPU(d), "ecc"); *pending = (nvmlEnableState_t)keyed(d, *now, "ecc_pending"); return NVML_SUCCESS; }
API nvmlDeviceGetMemoryErrorCounter(nvmlDevice_t d, nvmlMemoryErrorType_t t, nvmlEccCounterType_t c, nvmlMemoryLocation_t l, unsigned long long *n) {
    ENTER_GPU(d);
    if (l == NVML_MEMORY_LOCATION_SRAM && value(GPU(d), "ecc") == 0) return NVML_ERROR_NOT_SUPPORTED;
    *n = c == NVML_VOLATILE_ECC && volatile_restarted() ? 0 : keyed(d, 0, "ecc.%d.%d.%d", t, c, l);
    return NVML_SUCCESS;
}
API nvmlDeviceGetSramEccErrorStatus(nvmlDevice_t d, nvmlEccSramErrorStatus_t *s) {
    ENTER_GPU(d);
    VERSION(s, nvmlEccSramErrorStatus_v1);
    memset((char *)s + sizeof s->version, 0, sizeof *s - sizeof s->version);
    s->aggregateUncSecDed = keyed(d, 0, "sram_uncorrected_aggregate");
    s->aggregateUncParity = keyed(d, 0, "sram_parity");
    s->aggregateCor = keyed(d, 0, "sram_corrected");
    s->aggregateUncBucketSm = keyed(d, 0, "sram_uncorrected_aggregate");
    if (!volatile_restarted()) {
        s->volatileUncSecDed = keyed(d, 0, "sram_uncorrected");
        s->volatileUncParity = s->aggregateUncParity;
        s->volatileCor = s->aggregateCor;
    }
    s->bThresholdExceeded = (unsigned)keyed(d, 0, "sram_threshold_exceeded");
    return NVML_SUCCESS;
}
API nvmlDeviceGetRemappedRows(nvmlDevice_t d, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failure) {
    ENTER_GPU(d);
    if (value(GPU(d), "mig")) return NVML_ERROR_NOT_SUPPORTED;     /* not while MIG is active */
    *corrected = keyed(d, 0, "rows.corrected");
    *uncorrected = keyed(d, 0, "rows.uncorrected");
    *pending = keyed(d, 0, "rows.pending");
    *failure = keyed(d, 0, "rows.failure");
    return NVML_SUCCESS;
}
API nvmlDeviceGetRowRemapperHistogram(nvmlDevice_t d, nvmlRowRemapperHistogramValues_t *h) {
    ENTER_GPU(d);
    *h = (nvmlRowRemapperHistogramValues_t){
        .max = value(GPU(d), "histogram.max"), .high = value(GPU(d), "histogram.high"), .partial = value(GPU(d), "histogram.partial"),
        .low = value(GPU(d), "histogram.low"), .none = value(GPU(d), "histogram.none")};
    return NVML_SUCCESS;
}
API nvmlDeviceGetRepairStatus(nvmlDevice_t d, nvmlRepairStatus_t *s) { ENTER_GPU(d); VERSION(s, nvmlRepairStatus_v1); s->bChannelRepairPending = keyed(d, 0, "repair.channel"); s->bTpcRepairPending = keyed(d, 0, "repair.tpc"); return NVML_SUCCESS; }

/* One value a (field, scope), key field<ID>.<scope> or field<ID>; -1, or a field that is not listed: not supported. */
API nvmlDeviceGetFieldValues(nvmlDevice_t d, int n, nvmlFieldValue_t *v) {
    ENTER_GPU(d);
    for (int i = 0; i < n; i++) {
        char key[64];
        snprintf(key, sizeof key, "field%u", v[i].fieldId);
        long long number = value(GPU(d), key);
        snprintf(key, sizeof key, "field%u.%u", v[i].fieldId, v[i].scopeId);
        number = num(GPU(d), key, number);
        v[i].valueType = NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
        v[i].value.ullVal = (unsigned long long)number;
        v[i].nvmlReturn = (nvmlReturn_t)keyed(d, number < 0 ? NVML_ERROR_NOT_SUPPORTED : NVML_SUCCESS, "fielderror%u", v[i].fieldId);
        v[i].timestamp = 0;
    }
    return NVML_SUCCESS;
}

/* ---- temperature, power, clocks, PCIe ---- */

NUMBER(nvmlDeviceGetPowerUsage, unsigned, "power_mw")
NUMBER(nvmlDeviceGetEnforcedPowerLimit, unsigned, "power_limit_mw")
NUMBER(nvmlDeviceGetCurrentClocksEventReasons, unsigned long long, "clocks_event_reasons")
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, unsigned, "pcie.gen_max")
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, unsigned, "pcie.width")
NUMBER(nvmlDeviceGetMaxPcieLinkWidth, unsigned, "pcie.width_max")
NUMBER(nvmlDeviceGetPcieReplayCounter, unsigned, "pcie.replays")
API nvmlDeviceGetCurrPcieLinkGeneration(nvmlDevice_t d, unsigned *out) {
    ENTER_GPU(d);
    unsigned full = (unsigned)value(GPU(d), "pcie.gen");
    *out = copied_lately(GPU(d)) ? full : (unsigned)keyed(d, full, "pcie.gen_idle");
    return NVML_SUCCESS;
}
API nvmlDeviceGetTemperatureV(nvmlDevice_t d, nvmlTemperature_t *t) { ENTER_GPU(d); VERSION(t, nvmlTemperature_v1); t->temperature = (int)value(GPU(d), "temperature"); return NVML_SUCCESS; }
API nvmlDeviceGetTemperature(nvmlDevice_t d, nvmlTemperatureSensors_t sensor, unsigned *t) { ENTER_GPU(d); *t = (unsigned)value(GPU(d), "temperature"); return NVML_SUCCESS; }
API nvmlDeviceGetMarginTemperature(nvmlDevice_t d, nvmlMarginTemperature_t *t) { ENTER_GPU(d); VERSION(t, nvmlMarginTemperature_v1); t->marginTemperature = (int)value(GPU(d), "margin"); return NVML_SUCCESS; }
/* threshold1=89 and the like, by kind: GPUs that tell T.limit have none (qx_gb200.xml names T.limit's alone). */
API nvmlDeviceGetTemperatureThreshold(nvmlDevice_t d, nvmlTemperatureThresholds_t kind, unsigned *t) {
    ENTER_GPU(d);
    long long celsius = (long long)keyed(d, (unsigned long long)-1, "threshold%d", (int)kind);
    if (celsius == -1) return NVML_ERROR_NOT_SUPPORTED;
    *t = (unsigned)celsius;
    return NVML_SUCCESS;
}
API nvmlDeviceGetClockInfo(nvmlDevice_t d, nvmlClockType_t k, unsigned *mhz) { ENTER_GPU(d); *mhz = (unsigned)value(GPU(d), k == NVML_CLOCK_MEM ? "clock2" : "clock1"); return NVML_SUCCESS; }
API nvmlDeviceGetMaxClockInfo(nvmlDevice_t d, nvmlClockType_t k, unsigned *mhz) { ENTER_GPU(d); *mhz = (unsigned)value(GPU(d), k == NVML_CLOCK_MEM ? "max_clock2" : "max_clock1"); return NVML_SUCCESS; }

/* ---- NVLink and fabric ---- */

API nvmlDeviceGetNvLinkState(nvmlDevice_t d, unsigned l, nvmlEnableState_t *v) {
    ENTER_GPU(d);
    if (l >= (unsigned)value(GPU(d), "field91")) return NVML_ERROR_NOT_SUPPORTED;
    *v = keyed(d, 1, "link%u.state", l);
    return NVML_SUCCESS;
}
API nvmlDeviceGetNvLinkVersion(nvmlDevice_t d, unsigned l, unsigned *v) { ENTER_GPU(d); *v = keyed(d, value(GPU(d), "link.version"), "link%u.version", l); return NVML_SUCCESS; }
API nvmlDeviceGetNvLinkRemotePciInfo_v2(nvmlDevice_t d, unsigned l, nvmlPciInfo_t *p) {
    char key[32], fallback[32];
    ENTER_GPU(d);
    memset(p, 0, sizeof *p);
    snprintf(fallback, sizeof fallback, is_h200(GPU(d)) ? H200_SWITCH : B200_SWITCH, H200_LINKS[GPU(d) % 8][l % 18]);
    snprintf(key, sizeof key, "link%u.remote_id", l);
    text(p->busId, sizeof p->busId, GPU(d), key, fallback);
    return NVML_SUCCESS;
}
API nvmlDeviceGetNvLinkRemoteDeviceType(nvmlDevice_t d, unsigned l, nvmlIntNvLinkDeviceType_t *t) { ENTER_GPU(d); *t = (nvmlIntNvLinkDeviceType_t)keyed(d, NVML_NVLINK_DEVICE_TYPE_SWITCH, "link%u.remote_type", l); return NVML_SUCCESS; }
API nvmlDeviceGetGpuFabricInfoV(nvmlDevice_t d, nvmlGpuFabricInfoV_t *f) {
    ENTER_GPU(d);
    int v3 = f->version == nvmlGpuFabricInfo_v3 && !num(GPU(d), "fabric.old", 0);
    if (f->version != nvmlGpuFabricInfo_v2 && !v3) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    memset(f->clusterUuid, 0, sizeof f->clusterUuid);
    f->status = (nvmlReturn_t)value(GPU(d), "fabric.status");
    f->cliqueId = 0;
    f->state = (nvmlGpuFabricState_t)value(GPU(d), "fabric.state");
    f->healthMask = value(GPU(d), "fabric.health");
    if (v3) f->healthSummary = value(GPU(d), "fabric.summary");    /* v2 is shorter */
    return NVML_SUCCESS;
}

/* ---- modes, processes, topology ---- */

NUMBER(nvmlDeviceGetPersistenceMode, nvmlEnableState_t, "persistence")
NUMBER(nvmlDeviceGetComputeMode, nvmlComputeMode_t, "compute_mode")
API nvmlDeviceGetMigMode(nvmlDevice_t d, unsigned *now, unsigned *pending) { ENTER_GPU(d); *now = value(GPU(d), "mig"); *pending = keyed(d, *now, "mig_pending"); return NVML_SUCCESS; }
API nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t d, unsigned *n, nvmlProcessInfo_t *p) {
    char pids[256];
    unsigned have = 0, room = *n;
    ENTER_GPU(d);
    unsigned without_pids = keyed(d, 0, "processes");              /* their number alone: pids from 4242 */
    text(pids, sizeof pids, GPU(d), "pids", "");
    unsigned list[64];
    for (char *at = strtok(pids, ","); at && have < 64; at = strtok(NULL, ",")) list[have++] = (unsigned)atoi(at);
    for (unsigned i = 0; i < without_pids && have < 64; i++) list[have++] = 4242 + i;
    *n = have;
    if (have > room) return NVML_ERROR_INSUFFICIENT_SIZE;          /* pynvml asks with 0 first, then again with room */
    for (unsigned i = 0; i < have; i++)
        p[i] = (nvmlProcessInfo_t){.pid = list[i], .usedGpuMemory = value(GPU(d), "process_bytes"), .gpuInstanceId = ~0u, .computeInstanceId = ~0u};
    return NVML_SUCCESS;
}
API nvmlDeviceGetP2PStatus(nvmlDevice_t a, nvmlDevice_t b, nvmlGpuP2PCapsIndex_t i, nvmlGpuP2PStatus_t *s) { ENTER_GPU(a); *s = (nvmlGpuP2PStatus_t)keyed(a, 0, "p2p%d", GPU(b)); return NVML_SUCCESS; }
API nvmlDeviceGetTopologyCommonAncestor(nvmlDevice_t a, nvmlDevice_t b, nvmlGpuTopologyLevel_t *l) { ENTER_GPU(a); *l = (nvmlGpuTopologyLevel_t)keyed(a, same_half(GPU(a), GPU(b)) ? NVML_TOPOLOGY_NODE : NVML_TOPOLOGY_SYSTEM, "topology%d", GPU(b)); return NVML_SUCCESS; }
API nvmlSystemGetConfComputeState(nvmlConfComputeSystemState_t *s) { ENTER(); memset(s, 0, sizeof *s); s->ccFeature = (unsigned)num(0, "cc", 0); return NVML_SUCCESS; }

/* ---- events: a set of one GPU, which tells of the XIDs that come after it was registered ---- */

static struct { int used, gpu; unsigned told; } sets[64];

/* The nth XID of a GPU in the state file, or -1; without an n that exists, `count` says how many there are. */
static long xid_at(int gpu, unsigned n, unsigned *count) {
    char b[256];
    long found = -1;
    *count = 0;
    text(b, sizeof b, gpu, "xid", "");
    for (char *at = strtok(b, ","); at; at = strtok(NULL, ",")) if ((*count)++ == n) found = atol(at);
    return found;
}
API nvmlDeviceGetSupportedEventTypes(nvmlDevice_t d, unsigned long long *types) { ENTER_GPU(d); *types = keyed(d, nvmlEventTypeXidCriticalError | nvmlEventTypeClock, "event_types"); return NVML_SUCCESS; }
API nvmlEventSetCreate(nvmlEventSet_t *set) {
    ENTER();
    for (size_t i = 0; i < 64; i++)
        if (!sets[i].used) { sets[i].used = 1; sets[i].gpu = -1; *set = (nvmlEventSet_t)(i + 1); return NVML_SUCCESS; }
    return NVML_ERROR_INSUFFICIENT_RESOURCES;
}
API nvmlDeviceRegisterEvents(nvmlDevice_t d, unsigned long long types, nvmlEventSet_t set) {
    size_t i = (size_t)set - 1;
    ENTER_GPU(d);
    if (i >= 64 || !sets[i].used || sets[i].gpu >= 0) return NVML_ERROR_INVALID_ARGUMENT;
    sets[i].gpu = GPU(d);
    xid_at(GPU(d), ~0u, &sets[i].told);
    return NVML_SUCCESS;
}
API nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t *data, unsigned ms) {
    size_t i = (size_t)set - 1;
    unsigned count;
    if (i >= 64 || !sets[i].used) return NVML_ERROR_INVALID_ARGUMENT;
    if (sets[i].gpu < 0) return NVML_ERROR_TIMEOUT;
    int e = enter(__func__, sets[i].gpu);
    if (e) return (nvmlReturn_t)e;
    long xid = xid_at(sets[i].gpu, sets[i].told, &count);
    if (xid < 0) return num(sets[i].gpu, "lost", 0) ? NVML_ERROR_GPU_IS_LOST : NVML_ERROR_TIMEOUT;
    sets[i].told++;
    *data = (nvmlEventData_t){.device = (nvmlDevice_t)(size_t)(sets[i].gpu + 1), .eventType = nvmlEventTypeXidCriticalError, .eventData = (unsigned long long)xid};
    return NVML_SUCCESS;
}
API nvmlEventSetFree(nvmlEventSet_t set) {
    size_t i = (size_t)set - 1;
    ENTER();
    if (i >= 64 || !sets[i].used) return NVML_ERROR_INVALID_ARGUMENT;
    sets[i].used = 0;
    return NVML_SUCCESS;
}
