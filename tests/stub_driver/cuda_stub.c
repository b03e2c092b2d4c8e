/* A CUDA driver over host memory: the entry points that gpuaccept and NVRTC call, and no other.
 * Everything is done when its call returns; events carry host time. Values and faults: see stub.h. */
#include "stub.h"
#include <cuda.h>
#include <elf.h>
#include <stdint.h>
#include <time.h>

#define API __attribute__((visibility("default"))) CUresult
#define HERE (current ? current->gpu : 0)
#define ENTER_NODE() do { int e_ = enter(__func__, 0); if (e_) return (CUresult)e_; } while (0)
#define ENTER_GPU(gpu) do { int e_ = enter(__func__, gpu); if (!e_) e_ = lost(gpu); if (e_) return (CUresult)e_; } while (0)
#define ENTER() ENTER_GPU(HERE)              /* on the GPU of the current context */
#define MAX_ALLOCATIONS 4096
#define SMALL 256                                /* bytes: a copy of no more than these is never spoilt */

typedef struct { int gpu; } Context;
typedef struct { struct timespec at; int recorded; } Event;
typedef struct { char name[256]; } Kernel;
typedef struct { char *base; size_t size; int gpu; int host; } Allocation;

static Context contexts[MAX_GPUS];
static __thread Context *current;
static Allocation allocations[MAX_ALLOCATIONS];
static long copies;

static int lost(int gpu) { return num(gpu, "lost", 0) ? CUDA_ERROR_LAUNCH_FAILED : 0; }
static size_t capacity(int gpu) { return (size_t)num(gpu, "memory_mb", 256) << 20; }

static size_t used(int gpu) {
    size_t n = 0;
    for (int i = 0; i < MAX_ALLOCATIONS; i++)
        if (allocations[i].base && !allocations[i].host && allocations[i].gpu == gpu) n += allocations[i].size;
    return n;
}

static CUresult allocate(void *out, size_t size, int gpu, int host) {
    if (!current) return CUDA_ERROR_INVALID_CONTEXT;
    if (!size) return CUDA_ERROR_INVALID_VALUE;
    if (!host && used(gpu) + size > capacity(gpu)) return CUDA_ERROR_OUT_OF_MEMORY;
    for (int i = 0; i < MAX_ALLOCATIONS; i++)
        if (!allocations[i].base) {
            char *p = aligned_alloc(512, (size + 511) & ~(size_t)511);
            if (!p) return CUDA_ERROR_OUT_OF_MEMORY;
            memset(p, 0xA5, size);               /* device memory is never zero by luck */
            allocations[i] = (Allocation){p, size, gpu, host};
            *(void **)out = p;
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult release(void *p, int host) {
    for (int i = 0; i < MAX_ALLOCATIONS; i++)
        if (allocations[i].base && allocations[i].base == p && allocations[i].host == host) {
            allocations[i].base = NULL;
            free(p);
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_INVALID_VALUE;
}

/* Whether all `n` bytes at `p` lie in one allocation of that kind: an overrun is refused. */
static int owned(const void *p, size_t n, int host) {
    for (int i = 0; i < MAX_ALLOCATIONS; i++) {
        Allocation *a = &allocations[i];
        if (a->base && a->host == host && (char *)p >= a->base && (char *)p + n <= a->base + a->size) return 1;
    }
    return 0;
}

static CUresult copy(void *to, int to_host, const void *from, int from_host, size_t n) {
    char how[32];
    if ((!to_host && !owned(to, n, 0)) || (!from_host && !owned(from, n, 0))) return CUDA_ERROR_INVALID_VALUE;
    text(how, sizeof how, HERE, "copy", "");
    if (n > SMALL) copies++;
    if (n > SMALL && copies > num(HERE, "copy_limit", copies)) return CUDA_SUCCESS;
    if (n <= SMALL || !how[0]) memmove(to, from, n);
    else if (!strcmp(how, "displaced")) memmove(to, (const char *)from + SMALL, n - SMALL);
    return CUDA_SUCCESS;
}

/* ---- entry and errors ---- */

API cuInit(unsigned flags) { ENTER_NODE(); return gpu_count() ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE; }
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

API cuDeviceGetCount(int *n) { ENTER_NODE(); *n = gpu_count(); return 0; }
API cuDeviceGet(CUdevice *d, int i) { ENTER_NODE(); if (i < 0 || i >= gpu_count()) return CUDA_ERROR_INVALID_DEVICE; *d = i; return 0; }
API cuDeviceGetUuid_v2(CUuuid *u, CUdevice d) { ENTER_GPU(d); uuid_of(d, (unsigned char *)u->bytes); return 0; }
API cuDeviceGetPCIBusId(char *s, int n, CUdevice d) { ENTER_GPU(d); snprintf(s, n, "0000:%02X:00.0", bus_of(d)); return 0; }
API cuDeviceGetAttribute(int *v, CUdevice_attribute a, CUdevice d) {
    char key[64];
    long long known = 0;
    ENTER_GPU(d);
    switch ((int)a) {                            /* of a B200: compute capability 10.0, 148 SMs */
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: known = 148; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: known = 10; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: known = 0; break;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
    snprintf(key, sizeof key, "attribute%d", (int)a);
    *v = (int)num(d, key, known);
    return 0;
}

/* ---- contexts, streams, events ---- */

API cuDevicePrimaryCtxRetain(CUcontext *c, CUdevice d) { ENTER_GPU(d); contexts[d].gpu = d; *c = (CUcontext)&contexts[d]; return 0; }
API cuDevicePrimaryCtxRelease_v2(CUdevice d) { ENTER_GPU(d); return 0; }
API cuCtxSetCurrent(CUcontext c) { current = (Context *)c; ENTER(); return 0; }
API cuStreamCreate(CUstream *s, unsigned flags) { ENTER(); if (!current) return CUDA_ERROR_INVALID_CONTEXT; *s = (CUstream)malloc(1); return 0; }
API cuStreamDestroy_v2(CUstream s) { ENTER(); free(s); return 0; }
API cuStreamSynchronize(CUstream s) { ENTER(); return 0; }
API cuEventCreate(CUevent *e, unsigned flags) { ENTER(); if (!current) return CUDA_ERROR_INVALID_CONTEXT; *e = calloc(1, sizeof(Event)); return 0; }
API cuEventDestroy_v2(CUevent e) { ENTER(); free(e); return 0; }
API cuEventRecord(CUevent e, CUstream s) { ENTER(); clock_gettime(CLOCK_MONOTONIC, &((Event *)e)->at); ((Event *)e)->recorded = 1; return 0; }
API cuEventElapsedTime_v2(float *ms, CUevent a, CUevent b) {
    ENTER();
    Event *x = (Event *)a, *y = (Event *)b;
    if (!x->recorded || !y->recorded) return CUDA_ERROR_INVALID_HANDLE;
    *ms = (float)((y->at.tv_sec - x->at.tv_sec) * 1e3 + (y->at.tv_nsec - x->at.tv_nsec) / 1e6);
    return 0;
}

/* ---- memory ---- */

API cuMemAlloc_v2(CUdeviceptr *p, size_t n) { ENTER(); return allocate(p, n, HERE, 0); }
API cuMemFree_v2(CUdeviceptr p) { ENTER(); return release((void *)p, 0); }
API cuMemHostAlloc(void **p, size_t n, unsigned flags) { ENTER(); return allocate(p, n, HERE, 1); }
API cuMemFreeHost(void *p) { ENTER(); return release(p, 1); }
API cuMemcpyHtoDAsync_v2(CUdeviceptr d, const void *s, size_t n, CUstream st) { ENTER(); return copy((void *)d, 0, s, 1, n); }
API cuMemcpyDtoHAsync_v2(void *d, CUdeviceptr s, size_t n, CUstream st) { ENTER(); return copy(d, 1, (void *)s, 0, n); }
API cuMemcpyDtoDAsync_v2(CUdeviceptr d, CUdeviceptr s, size_t n, CUstream st) { ENTER(); return copy((void *)d, 0, (void *)s, 0, n); }
API cuMemsetD32Async(CUdeviceptr d, unsigned v, size_t n, CUstream st) {
    ENTER();
    if (!owned((void *)d, n * 4, 0)) return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < n; i++) ((unsigned *)d)[i] = v;
    return 0;
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
    *m = (CUmodule)malloc(1);
    return CUDA_SUCCESS;
}
API cuModuleUnload(CUmodule m) { ENTER(); free(m); return 0; }
API cuModuleGetFunction(CUfunction *f, CUmodule m, const char *name) {
    int (*known)(const char *) = host_function("stub_kernel_known");
    ENTER();
    if (!known || !known(name)) return CUDA_ERROR_NOT_FOUND;
    Kernel *k = calloc(1, sizeof *k);
    snprintf(k->name, sizeof k->name, "%s", name);
    *f = (CUfunction)k;
    return CUDA_SUCCESS;
}

static void flip_a_bit(const char *kernel) {
    char key[300], b[64];
    long index, byte, bit;
    snprintf(key, sizeof key, "flip.%s", kernel);
    if (sscanf(text(b, sizeof b, HERE, key, ""), "%ld.%ld.%ld", &index, &byte, &bit) != 3) return;
    for (int i = 0; i < MAX_ALLOCATIONS; i++)
        if (allocations[i].base && !allocations[i].host && !index--) { allocations[i].base[byte] ^= (char)(1 << bit); return; }
}
API cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, CUstream s, void **args, void **extra) {
    void (*run)(const char *, const unsigned *, const unsigned *, void **) = host_function("stub_kernel_run");
    ENTER();
    if (!gx || !gy || !gz || !bx || !by || !bz || bx * by * bz > 1024) return CUDA_ERROR_INVALID_VALUE;
    run(((Kernel *)f)->name, (unsigned[]){gx, gy, gz}, (unsigned[]){bx, by, bz}, args);
    flip_a_bit(((Kernel *)f)->name);
    return CUDA_SUCCESS;
}
