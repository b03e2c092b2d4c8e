/* Memory of the stub's GPUs and what copies do with it: allocations, virtual memory, faults of copies. */
#pragma once
#include "stub.h"
#include <cuda.h>
#include <stdint.h>
#include <sys/mman.h>

#define MAX_ALLOCATIONS 4096
#define LARGE (1 << 20)
#define SMALL 256                                /* bytes: a copy of no more than these is never spoilt */

typedef struct { char *base; size_t size; int gpu; int host; int virtual; } Allocation;
typedef struct { size_t size; int gpu; int held; char *mapped; } Handle;     /* cuMemCreate */

static Allocation allocations[MAX_ALLOCATIONS];
static Handle handles[MAX_ALLOCATIONS];
static long copies;
static long long worked_ns;                      /* what events tell under $STUB_IDLE */
static void work(void) { worked_ns += 1000000; }

static size_t capacity(int gpu) { return (size_t)num(gpu, "memory_mb", 256) << 20; }

static size_t used(int gpu) {
    size_t n = 0;
    for (int i = 0; i < MAX_ALLOCATIONS; i++) {
        Allocation *a = &allocations[i];
        Handle *h = &handles[i];
        if (a->base && !a->host && !a->virtual && a->gpu == gpu) n += a->size;
        if (h->size && h->gpu == gpu) n += h->size;
    }
    return n;
}

static CUresult add_allocation(Allocation a) {
    for (int i = 0; i < MAX_ALLOCATIONS; i++)
        if (!allocations[i].base) { allocations[i] = a; return CUDA_SUCCESS; }
    return CUDA_ERROR_OUT_OF_MEMORY;
}

/* What is neither done nor backed by memory under $STUB_IDLE. */
static int too_large(size_t n) { return idle() && n >= LARGE; }

static CUresult allocate(void *out, size_t size, int gpu, int host) {
    if (!size) return CUDA_ERROR_INVALID_VALUE;
    if (!host && used(gpu) + size > capacity(gpu)) return CUDA_ERROR_OUT_OF_MEMORY;
    char *p = too_large(size) ? mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                              : aligned_alloc(512, (size + 511) & ~(size_t)511);
    if (!p || p == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
    if (!too_large(size)) memset(p, 0xA5, size); /* device memory is never zero by luck */
    *(void **)out = p;
    return add_allocation((Allocation){p, size, gpu, host, 0});
}

static CUresult release(void *p, int host) {
    for (int i = 0; i < MAX_ALLOCATIONS; i++) {
        Allocation *a = &allocations[i];
        if (a->base && a->base == p && a->host == host && !a->virtual) {
            a->base = NULL;
            if (too_large(a->size)) munmap(p, a->size);
            else free(p);
            return CUDA_SUCCESS;
        }
    }
    return CUDA_ERROR_INVALID_VALUE;
}

/* The allocation in which all `n` bytes at `p` lie: an overrun is refused. */
static Allocation *find(const void *p, size_t n) {
    for (int i = 0; i < MAX_ALLOCATIONS; i++) {
        Allocation *a = &allocations[i];
        if (a->base && (char *)p >= a->base && (char *)p + n <= a->base + a->size) return a;
    }
    return NULL;
}
static int owned(const void *p, size_t n, int host) { Allocation *a = find(p, n); return a && a->host == host; }

/* A cell that always reads as 0 or 1: put right after everything that writes. `stuck=allocation.byte.bit.value`. */
static void stick(int gpu) {
    char b[64];
    long index, byte, bit, value;
    if (sscanf(text(b, sizeof b, gpu, "stuck", ""), "%ld.%ld.%ld.%ld", &index, &byte, &bit, &value) != 4) return;
    for (int i = 0; i < MAX_ALLOCATIONS; i++) {
        Allocation *a = &allocations[i];
        if (!a->base || a->host || a->gpu != gpu || index--) continue;
        if ((size_t)byte >= a->size) return;
        a->base[byte] = (char)(value ? a->base[byte] | 1 << bit : a->base[byte] & ~(1 << bit));
        return;
    }
}

/* What was copied first of a size is what every later copy of that size delivers. */
static void stale_copy(void *to, const void *from, size_t n) {
    static char *first;
    static size_t size;
    if (!first) { first = malloc(n); size = n; memcpy(first, from, n); }
    memmove(to, size == n ? first : from, n);
}

static CUresult copy(int gpu, void *to, int to_host, const void *from, int from_host, size_t n) {
    char how[32];
    const char *source = from;
    if ((!to_host && !owned(to, n, 0)) || (!from_host && !owned(from, n, 0))) return CUDA_ERROR_INVALID_VALUE;
    if (too_large(n)) { work(); return CUDA_SUCCESS; }
    text(how, sizeof how, gpu, "copy", "");
    if (n > SMALL) copies++;
    if (n > SMALL && copies > num(gpu, "copy_limit", copies)) return CUDA_SUCCESS;
    if (n <= SMALL || !how[0]) memmove(to, from, n);
    else if (!strcmp(how, "displaced")) memmove(to, source + SMALL, n - SMALL);
    else if (!strcmp(how, "partial")) memmove(to, source, n / 2);
    else if (!strcmp(how, "repeated")) { memmove(to, source, n / 2); memmove((char *)to + n / 2, source, n / 2); }
    else if (!strcmp(how, "stale")) stale_copy(to, source, n);
    stick(gpu);
    return CUDA_SUCCESS;
}

/* `p2p=corrupt`: what crosses from one GPU to another arrives with one bit inverted, and no error. */
static void spoil_peer(int gpu, char *to, const char *from, size_t n) {
    char how[32];
    if (too_large(n)) return;
    Allocation *a = find(to, 1), *b = find(from, 1);
    if (!a || !b || a->host || b->host || a->gpu == b->gpu) return;
    if (!strcmp(text(how, sizeof how, gpu, "p2p", ""), "corrupt")) to[n / 2] ^= 4;
}

/* ---- virtual memory: handles, mapped into a range that is usable once access is set ---- */

static CUresult create(CUmemGenericAllocationHandle *out, size_t size, int gpu) {
    if (!size || size % (2 << 20)) return CUDA_ERROR_INVALID_VALUE;
    if (used(gpu) + size > capacity(gpu)) return CUDA_ERROR_OUT_OF_MEMORY;
    for (int i = 0; i < MAX_ALLOCATIONS; i++)
        if (!handles[i].size) {
            handles[i] = (Handle){size, gpu, 1, NULL};
            *out = (CUmemGenericAllocationHandle)i + 1;
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult map(char *at, size_t size, CUmemGenericAllocationHandle number) {
    Handle *h = number && number <= MAX_ALLOCATIONS ? &handles[number - 1] : NULL;
    if (!h || !h->held || h->mapped || size != h->size) return CUDA_ERROR_INVALID_VALUE;
    h->mapped = at;
    return CUDA_SUCCESS;
}

static CUresult let_go(CUmemGenericAllocationHandle number) {
    Handle *h = number && number <= MAX_ALLOCATIONS ? &handles[number - 1] : NULL;
    if (!h || !h->held) return CUDA_ERROR_INVALID_VALUE;
    h->held = 0;
    if (!h->mapped) h->size = 0;
    return CUDA_SUCCESS;
}

static CUresult make_accessible(char *at, size_t size, int gpu) {
    size_t covered = 0;
    for (int i = 0; i < MAX_ALLOCATIONS; i++)
        if (handles[i].mapped >= at && handles[i].mapped < at + size) covered += handles[i].size;
    if (covered != size || mprotect(at, size, PROT_READ | PROT_WRITE)) return CUDA_ERROR_INVALID_VALUE;
    if (!too_large(size)) memset(at, 0xA5, size);
    return add_allocation((Allocation){at, size, gpu, 0, 1});
}

static CUresult unmap(char *at, size_t size) {
    for (int i = 0; i < MAX_ALLOCATIONS; i++) {
        Handle *h = &handles[i];
        Allocation *a = &allocations[i];
        if (a->base && a->virtual && a->base >= at && a->base < at + size) a->base = NULL;
        if (h->mapped && h->mapped >= at && h->mapped < at + size) {
            h->mapped = NULL;
            if (!h->held) h->size = 0;
        }
    }
    return mprotect(at, size, PROT_NONE) ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}
