/* A CUDA driver over host memory: the entry points that gpuaccept and NVRTC call, and no other.
 * Everything is done when its call returns; events carry host time. Values and faults: see stub.h. */
#include "cuda_memory.h"
#include <elf.h>
#include <sched.h>
#include <time.h>

#define API __attribute__((visibility("default"))) CUresult
#define HERE (current ? current->gpu : 0)
#define ENTER_NODE() do { int e_ = enter(__func__, 0); if (e_) return (CUresult)e_; } while (0)
#define ENTER_GPU(gpu) do { int e_ = enter(__func__, gpu); if (!e_) e_ = lost(gpu); if (e_) return (CUresult)e_; } while (0)
#define ENTER() ENTER_GPU(HERE)              /* on the GPU of the current context */

typedef struct { int gpu; } Context;
typedef struct { struct timespec at; int recorded; void *on; } Event;
typedef struct { char name[256]; int shared; } Kernel;   /* shared: bytes that cuFuncSetAttribute allowed */

static Context contexts[MAX_GPUS];
static __thread Context *current;
static char can_reach[MAX_GPUS][MAX_GPUS];       /* [of][on]: peer access that was enabled */

/* `lost=1` answers 719 as a GPU that failed does; any other number is the code itself. */
static int lost(int gpu) { int code = (int)num(gpu, "lost", 0); return code == 1 ? CUDA_ERROR_LAUNCH_FAILED : code; }

/* What the program had not given back when it ended: the log tells. */
enum { CONTEXTS, STREAMS, EVENTS, MODULES, KINDS };
static long held[KINDS];
__attribute__((destructor)) static void tell_what_is_left(void) {
    static const char *names[] = {"contexts", "streams", "events", "modules"};
    for (int i = 0; i < KINDS; i++)
        if (held[i]) stub_log("left", names[i]);
    for (int i = 0; i < MAX_ALLOCATIONS; i++) {
        if (allocations[i].base) stub_log("left", allocations[i].host ? "pinned memory" : "memory");
        if (handles[i].size) stub_log("left", "memory handle");
    }
}

/* ---- entry and errors ---- */

static int seen(void) { int n = 0; for (int i = 0; i < gpu_count(); i++) n += in_cuda(i); return n; }
API cuInit(unsigned flags) { ENTER_NODE(); return seen() ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE; }
API cuDriverGetVersion(int *v) { ENTER_NODE(); *v = (int)num(0, "cuda_version", 13000); return 0; }

/* The bindings resolve every entry point here at their first call: one that is missing is no error until it is called.
 * An entry point of a newer CUDA than the driver's is missing too. */
API cuGetProcAddress_v2(const char *symbol, void **fn, int version, cuuint64_t flags, CUdriverProcAddressQueryResult *status) {
    static const char *suffixes[] = {"_v2", ""};
    static void *self;
    Dl_info info;
    char name[256];
    if (!self && dladdr((void *)cuGetProcAddress_v2, &info)) self = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    *fn = NULL;
    for (int i = 0; i < 2 && !*fn && version <= num(0, "cuda_version", 13000); i++) {
        snprintf(name, sizeof name, "%s%s", symbol, suffixes[i]);
        *fn = dlsym(self, name);
    }
    if (!*fn) stub_log("missing", symbol);
    if (status) *status = *fn ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    return *fn ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

/* NVRTC looks for this one with dlsym and calls it unchecked. */
API cuGetExportTable(const void **table, const CUuuid *id) { ENTER_NODE(); *table = NULL; return CUDA_ERROR_NOT_FOUND; }

/* ---- devices ---- */

API cuDeviceGetCount(int *n) { ENTER_NODE(); *n = seen(); return 0; }
API cuDeviceGet(CUdevice *d, int i) {
    ENTER_NODE();
    for (int gpu = 0; i >= 0 && gpu < gpu_count(); gpu++)
        if (in_cuda(gpu) && i-- == 0) { *d = gpu; return 0; }
    return CUDA_ERROR_INVALID_DEVICE;
}
API cuDeviceGetUuid_v2(CUuuid *u, CUdevice d) { ENTER_GPU(d); uuid_of(d, (unsigned char *)u->bytes); return 0; }
API cuDeviceGetPCIBusId(char *s, int n, CUdevice d) { ENTER_GPU(d); snprintf(s, n, "0000:%02X:00.0", bus_of(d)); return 0; }
API cuDeviceGetAttribute(int *v, CUdevice_attribute a, CUdevice d) {
    char key[64];
    long long known = 0;
    ENTER_GPU(d);
    switch ((int)a) {                            /* of a B200: compute capability 10.0, 148 SMs, 126 MiB L2 */
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: known = 148; break;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE: known = 126 << 20; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: known = 10; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: known = 0; break;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
    snprintf(key, sizeof key, "attribute%d", (int)a);
    *v = (int)num(d, key, known);
    return 0;
}

/* ---- contexts, streams, events ---- */

API cuDevicePrimaryCtxRetain(CUcontext *c, CUdevice d) { ENTER_GPU(d); held[CONTEXTS]++; contexts[d].gpu = d; *c = (CUcontext)&contexts[d]; return 0; }
API cuDevicePrimaryCtxRelease_v2(CUdevice d) { ENTER_GPU(d); held[CONTEXTS]--; return 0; }
API cuCtxSetCurrent(CUcontext c) { current = (Context *)c; ENTER(); return 0; }
API cuStreamCreate(CUstream *s, unsigned flags) { ENTER(); if (!current) return CUDA_ERROR_INVALID_CONTEXT; held[STREAMS]++; *s = (CUstream)malloc(1); return 0; }
API cuStreamDestroy_v2(CUstream s) { ENTER(); held[STREAMS]--; free(s); return 0; }
API cuStreamSynchronize(CUstream s) { ENTER(); return 0; }
API cuEventCreate(CUevent *e, unsigned flags) { ENTER(); if (!current) return CUDA_ERROR_INVALID_CONTEXT; held[EVENTS]++; *e = calloc(1, sizeof(Event)); return 0; }
API cuEventDestroy_v2(CUevent e) { ENTER(); held[EVENTS]--; free(e); return 0; }
static void stamp(Event *e) {
    if (idle()) e->at = (struct timespec){worked_ns / 1000000000, worked_ns % 1000000000};
    else clock_gettime(CLOCK_MONOTONIC, &e->at);
    e->recorded = 1;
}
API cuEventRecord(CUevent e, CUstream s) { ENTER(); stamp((Event *)e); ((Event *)e)->on = s; return 0; }
/* Nothing is ever waited for here; the log tells which stream waits for what was recorded on which. */
API cuStreamWaitEvent(CUstream s, CUevent e, unsigned flags) {
    char said[64];
    ENTER();
    if (!((Event *)e)->recorded) return CUDA_ERROR_INVALID_HANDLE;
    snprintf(said, sizeof said, "%p %p", (void *)s, ((Event *)e)->on);
    stub_log("waits", said);
    return 0;
}
API cuEventElapsedTime_v2(float *ms, CUevent a, CUevent b) {
    ENTER();
    Event *x = (Event *)a, *y = (Event *)b;
    if (!x->recorded || !y->recorded) return CUDA_ERROR_INVALID_HANDLE;
    *ms = (float)((y->at.tv_sec - x->at.tv_sec) * 1e3 + (y->at.tv_nsec - x->at.tv_nsec) / 1e6);
    return 0;
}

/* Everything is done at once here, so that no event is ever pending; `fault.cuEventQuery=600` says otherwise. */
API cuEventQuery(CUevent e) { ENTER(); return ((Event *)e)->recorded ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE; }

/* ---- memory ---- */

API cuMemGetInfo_v2(size_t *free, size_t *total) {
    ENTER();
    *total = capacity(HERE);
    *free = *total - used(HERE);
    return 0;
}
API cuMemAlloc_v2(CUdeviceptr *p, size_t n) { ENTER(); return current ? allocate(p, n, HERE, 0) : CUDA_ERROR_INVALID_CONTEXT; }
API cuMemFree_v2(CUdeviceptr p) { ENTER(); return release((void *)p, 0); }
/* Pages come from the NUMA node of the CPU that asks: the log tells which CPUs it may have been (`pinned GPU MASK`). */
static void log_affinity(int gpu) {
    cpu_set_t set;
    char said[64];
    unsigned long long mask = 0;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    for (int cpu = 0; cpu < 64; cpu++) mask |= (unsigned long long)!!CPU_ISSET(cpu, &set) << cpu;
    snprintf(said, sizeof said, "%d %llx", gpu, mask);
    stub_log("pinned", said);
}
API cuMemHostAlloc(void **p, size_t n, unsigned flags) { ENTER(); log_affinity(HERE); return current ? allocate(p, n, HERE, 1) : CUDA_ERROR_INVALID_CONTEXT; }
API cuMemFreeHost(void *p) { ENTER(); return release(p, 1); }
API cuMemcpyHtoDAsync_v2(CUdeviceptr d, const void *s, size_t n, CUstream st) { ENTER(); copied(HERE); return copy(HERE, (void *)d, 0, s, 1, n); }
API cuMemcpyDtoHAsync_v2(void *d, CUdeviceptr s, size_t n, CUstream st) { ENTER(); copied(HERE); return copy(HERE, d, 1, (void *)s, 0, n); }
API cuMemcpyDtoDAsync_v2(CUdeviceptr d, CUdeviceptr s, size_t n, CUstream st) { ENTER(); return copy(HERE, (void *)d, 0, (void *)s, 0, n); }
API cuMemsetD32Async(CUdeviceptr d, unsigned v, size_t n, CUstream st) {
    ENTER();
    if (!owned((void *)d, n * 4, 0)) return CUDA_ERROR_INVALID_VALUE;
    if (too_large(n * 4)) return CUDA_SUCCESS;
    for (size_t i = 0; i < n; i++) ((unsigned *)d)[i] = v;
    return 0;
}

API cuMemAddressReserve(CUdeviceptr *p, size_t n, size_t alignment, CUdeviceptr hint, unsigned long long flags) {
    ENTER();
    if (!n || n % (2 << 20)) return CUDA_ERROR_INVALID_VALUE;
    void *at = mmap(NULL, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
    *p = (CUdeviceptr)at;
    return 0;
}
API cuMemAddressFree(CUdeviceptr p, size_t n) { ENTER(); return munmap((void *)p, n) ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS; }
API cuMemCreate(CUmemGenericAllocationHandle *h, size_t n, const CUmemAllocationProp *prop, unsigned long long flags) {
    ENTER();
    if (prop->type != CU_MEM_ALLOCATION_TYPE_PINNED || prop->location.type != CU_MEM_LOCATION_TYPE_DEVICE) return CUDA_ERROR_INVALID_VALUE;
    return create(h, n, prop->location.id);
}
API cuMemMap(CUdeviceptr p, size_t n, size_t offset, CUmemGenericAllocationHandle h, unsigned long long flags) { ENTER(); return map((char *)p, n, h); }
API cuMemRelease(CUmemGenericAllocationHandle h) { ENTER(); return let_go(h); }
API cuMemUnmap(CUdeviceptr p, size_t n) { ENTER(); return unmap((char *)p, n); }
API cuMemSetAccess(CUdeviceptr p, size_t n, const CUmemAccessDesc *access, size_t count) {
    ENTER();
    if (count != 1 || access->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE) return CUDA_ERROR_INVALID_VALUE;
    return make_accessible((char *)p, n, access->location.id);
}

/* ---- between GPUs ---- */

API cuDeviceCanAccessPeer(int *can, CUdevice of, CUdevice on) { ENTER_GPU(of); *can = of != on && num(of, "can_access", 1); return 0; }
API cuCtxEnablePeerAccess(CUcontext peer, unsigned flags) {
    ENTER();
    int on = ((Context *)peer)->gpu;
    if (HERE == on || !num(HERE, "can_access", 1)) return CUDA_ERROR_PEER_ACCESS_UNSUPPORTED;
    if (can_reach[HERE][on]) return CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED;
    can_reach[HERE][on] = 1;
    return 0;
}
/* Without peer access a driver carries the data through the host, and says nothing: the log does. */
API cuMemcpyPeerAsync(CUdeviceptr to, CUcontext to_context, CUdeviceptr from, CUcontext from_context, size_t n, CUstream s) {
    ENTER();
    int a = ((Context *)to_context)->gpu, b = ((Context *)from_context)->gpu;
    Allocation *at = find((void *)to, n), *of = find((void *)from, n);
    if (!at || !of || at->gpu != a || of->gpu != b) return CUDA_ERROR_INVALID_VALUE;
    if (!can_reach[a][b] || !can_reach[b][a]) stub_log("staged", __func__);
    CUresult done = copy(HERE, (void *)to, 0, (void *)from, 0, n);
    spoil_peer(HERE, (char *)to, (char *)from, n);
    return done;
}

/* ---- code: names are looked up in the host build of the same .cu files ---- */

static void *host_function(const char *name) {
    static void *lib;
    const char *path = getenv("STUB_KERNELS");
    if (!lib && path) lib = dlopen(path, RTLD_NOW);
    return lib ? dlsym(lib, name) : NULL;
}

/* A CUBIN names its architecture in the ELF flags: bits 8-15 since ABI 8 (CUDA 13), bits 0-7 before. */
static int cubin_arch(const void *code) {
    const Elf64_Ehdr *h = code;
    if (memcmp(h->e_ident, ELFMAG, SELFMAG)) return 0;
    return h->e_ident[EI_ABIVERSION] >= 8 ? (h->e_flags >> 8) & 0xff : h->e_flags & 0xff;
}
API cuModuleLoadData(CUmodule *m, const void *code) {
    ENTER();
    int major = (int)num(HERE, "attribute75", 10), minor = (int)num(HERE, "attribute76", 0), arch = cubin_arch(code);
    if (!arch) return CUDA_ERROR_INVALID_IMAGE;
    if (arch / 10 != major || arch % 10 > minor) return CUDA_ERROR_NO_BINARY_FOR_GPU;
    held[MODULES]++;
    *m = (CUmodule)malloc(1);
    return CUDA_SUCCESS;
}
API cuModuleUnload(CUmodule m) { ENTER(); held[MODULES]--; free(m); return 0; }
API cuModuleGetFunction(CUfunction *f, CUmodule m, const char *name) {
    int (*known)(const char *) = host_function("stub_kernel_known");
    ENTER();
    if (!known || !known(name)) return CUDA_ERROR_NOT_FOUND;
    Kernel *k = calloc(1, sizeof *k);
    snprintf(k->name, sizeof k->name, "%s", name);
    *f = (CUfunction)k;
    return CUDA_SUCCESS;
}

/* As on compute capability 10.0: 227 KiB of shared memory a block at most, what is beyond 48 KiB only when asked for. */
API cuFuncSetAttribute(CUfunction f, CUfunction_attribute a, int value) {
    ENTER();
    if (a != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0 || value > 227 << 10) return CUDA_ERROR_INVALID_VALUE;
    ((Kernel *)f)->shared = value;
    return 0;
}
/* By shared memory alone, at most `resident` (2): what a kernel declares itself is not known here. */
API cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction f, int threads, size_t shared) { ENTER(); *blocks = shared > 113 << 10 ? 1 : (int)num(HERE, "resident", 2); return 0; }

static void flip_a_bit(const char *what, int host, const char *kernel) {
    char key[300], b[64];
    long index, byte, bit;
    snprintf(key, sizeof key, "%s.%s", what, kernel);
    if (sscanf(text(b, sizeof b, HERE, key, ""), "%ld.%ld.%ld", &index, &byte, &bit) != 3) return;
    for (int i = 0; i < MAX_ALLOCATIONS; i++) {
        Allocation *a = &allocations[i];
        if (a->base && a->host == host && (host || a->gpu == HERE) && !index--) { a->base[byte] ^= (char)(1 << bit); return; }
    }
}

/* Pointers of a launch must be this GPU's memory, the host's pinned memory, or that of a peer it may reach. */
static int reachable(unsigned pointers, void **args) {
    for (int i = 0; i < 32; i++) {
        Allocation *a = pointers >> i & 1 ? find(*(void **)args[i], 1) : NULL;
        if (!(pointers >> i & 1)) continue;
        if (!a || (!a->host && a->gpu != HERE && !can_reach[HERE][a->gpu])) return 0;
    }
    return 1;
}

/* `odd.KERNEL=ARGUMENT.XOR.BLOCK`: that block works with another value of a 32-bit argument, as a broken SM might. */
static long odd_arguments(const char *kernel, unsigned arguments, void **args, void **odd, unsigned *value) {
    char key[300], b[64];
    long block;
    unsigned argument, xor;
    snprintf(key, sizeof key, "odd.%s", kernel);
    if (sscanf(text(b, sizeof b, HERE, key, ""), "%u.%u.%ld", &argument, &xor, &block) != 3) return -1;
    memcpy(odd, args, arguments * sizeof *odd);
    *value = *(unsigned *)args[argument] ^ xor;
    odd[argument] = value;
    return block;
}

/* `moved.KERNEL=FROM.TO`: block FROM runs where block TO does, as where an SM is given nothing to do. */
static void moved_block(const char *kernel, long moved[2]) {
    char key[300], b[64];
    snprintf(key, sizeof key, "moved.%s", kernel);
    if (sscanf(text(b, sizeof b, HERE, key, ""), "%ld.%ld", &moved[0], &moved[1]) != 2) moved[0] = -1;
}

API cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, CUstream s, void **args, void **extra) {
    void (*run)(const char *, const unsigned *, const unsigned *, void **, void **, long, const long *) = host_function("stub_kernel_run");
    unsigned (*arguments)(const char *, unsigned *) = host_function("stub_kernel_arguments");
    const char *name = ((Kernel *)f)->name;
    void *odd[32];
    unsigned value, pointers, count = arguments(name, &pointers);
    ENTER();
    if (!gx || !gy || !gz || !bx || !by || !bz || bx * by * bz > 1024) return CUDA_ERROR_INVALID_VALUE;
    if (shared > 48 << 10 && (int)shared > ((Kernel *)f)->shared) return CUDA_ERROR_INVALID_VALUE;
    if (!reachable(pointers, args)) return CUDA_ERROR_ILLEGAL_ADDRESS;
    if (idle() && strcmp(name, "tile_bytes")) { work(); return CUDA_SUCCESS; }
    long block = odd_arguments(name, count, args, odd, &value);
    long moved[2];
    moved_block(name, moved);
    run(name, (unsigned[]){gx, gy, gz}, (unsigned[]){bx, by, bz}, args, odd, block, moved);
    flip_a_bit("flip", 0, name);
    flip_a_bit("flip_host", 1, name);
    stick(HERE);
    if (!strcmp(name, "bw_copy")) spoil_peer(HERE, *(char **)args[1], *(char **)args[0], 4096);
    return CUDA_SUCCESS;
}
