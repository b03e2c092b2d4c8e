/* What both stub libraries share: one text file of `key=value` lines (path in $STUB_STATE) drives them.
 *
 *   gpu0.temperature=45        a value that a query returns (every key has a default)
 *   fault.cuMemcpyDtoDAsync_v2=719     every call of that entry point returns 719
 *   fault.cuLaunchKernel=719@3         only the third call in this process
 *   fault.cuStreamSynchronize=hang     never returns
 *   gpu2.fault.cuMemAlloc_v2=2         the same, for one GPU only
 *   gpu2.lost=1                        every call on that GPU fails from now on, with 719 or, for lost=999, that code
 *   flip.bw_copy=1.4096.3              after each launch of bw_copy: allocation 1, byte 4096, bit 3 is inverted
 *   flip_host.bw_copy=1.4096.3         the same of pinned memory on the host
 *   odd.soak_mma=0.1.3                 block 3 of soak_mma works with argument 0 xor 1, as a broken SM might
 *   stuck=2.4096.3.1                   allocation 2, byte 4096, bit 3 reads as 1 whatever is written
 *   copy=none | displaced | partial | repeated | stale    copies report success, and move nothing, what lies 256 bytes
 *                                      further on, the first half, the first half twice, what they moved long ago
 *   p2p=corrupt                        what crosses between GPUs arrives with one bit inverted
 *   gpu0.can_access=0                  the driver says that GPU 0 reaches no other
 *   copy_limit=1                       copies after the first move nothing
 *
 * The file is read again at each call, so that a test can change it while the program under test runs.
 *
 * $STUB_IDLE is for measuring what gpuaccept itself costs: kernels and large copies do nothing and take no time, and
 * events say that each of them took a millisecond; large memory is promised, not backed; the file is read once.
 * $STUB_LOG names a file to which every entry point called (and every one asked for in vain) is appended. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_GPUS 16

/* How the program under test knows that nothing here is real. */
__attribute__((visibility("default"))) const char gpuaccept_stub[] = "a stub driver of gpuaccept's tests";

static void stub_log(const char *what, const char *name) {
    const char *path = getenv("STUB_LOG");
    FILE *f = path ? fopen(path, "a") : NULL;
    if (f) { fprintf(f, "%s %s\n", what, name); fclose(f); }
}

static int idle(void) {
    static int known = -1;
    if (known < 0) known = getenv("STUB_IDLE") != NULL;
    return known;
}

static const char *state_read_once(char *value, size_t size, const char *key) {
    static char content[65536];
    static int read;
    const char *path = getenv("STUB_STATE"), *found = NULL;
    size_t n = strlen(key);
    if (!read) {
        FILE *f = path ? fopen(path, "r") : NULL;
        if (f) { content[fread(content, 1, sizeof content - 1, f)] = 0; fclose(f); }
        read = 1;
    }
    for (const char *line = content; *line; line += strcspn(line, "\n"), line += *line == '\n')
        if (!strncmp(line, key, n) && line[n] == '=') {
            snprintf(value, size, "%.*s", (int)strcspn(line + n + 1, "\n"), line + n + 1);
            found = value;
        }
    return found;
}

static const char *state(char *value, size_t size, const char *key) {
    if (idle()) return state_read_once(value, size, key);
    const char *path = getenv("STUB_STATE");
    FILE *f = path ? fopen(path, "r") : NULL;
    char line[512];
    size_t n = strlen(key);
    const char *found = NULL;
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, key, n) && line[n] == '=') {
            line[strcspn(line, "\n")] = 0;
            snprintf(value, size, "%s", line + n + 1);
            found = value;                       /* the last line wins: a test may append */
        }
    if (f) fclose(f);
    return found;
}

static const char *text(char *out, size_t size, int gpu, const char *key, const char *fallback) {
    char k[128];
    snprintf(k, sizeof k, "gpu%d.%s", gpu, key);
    if (state(out, size, k) || state(out, size, key)) return out;
    snprintf(out, size, "%s", fallback);
    return out;
}

static long long num(int gpu, const char *key, long long fallback) {
    char b[64];
    return text(b, sizeof b, gpu, key, "")[0] ? strtoll(b, NULL, 0) : fallback;
}

/* When a GPU last copied to or from the host, in ms of the monotonic clock. Both libraries lie in one process and know
 * nothing of each other: the environment tells where the times stand. */
static long long *copied_at(void) {
    static long long own[MAX_GPUS + 1], *times;
    char b[64];
    long pid;
    if (times) return times;
    const char *told = getenv("STUB_COPIED_AT");
    if (told && sscanf(told, "%ld %p", &pid, (void **)&times) == 2 && pid == getpid()) return times;
    snprintf(b, sizeof b, "%ld %p", (long)getpid(), (void *)own);
    setenv("STUB_COPIED_AT", b, 1);
    return times = own;
}
static long long now_ms(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000LL + t.tv_nsec / 1000000; }
static void copied(int gpu) { copied_at()[gpu] = now_ms(); }
static int copied_lately(int gpu) { return copied_at()[gpu] && now_ms() - copied_at()[gpu] < 1000; }

/* Of a GPU in MIG mode CUDA sees an instance only, and then no other GPU; there are none until one was made (MIG user
 * guide, "CUDA Device Enumeration"): mig=1, mig_instances=1. */
static int gpu_count(void);
static int in_cuda(int gpu) {
    for (int i = 0; i < gpu_count(); i++)
        if (num(i, "mig", 0) && num(i, "mig_instances", 0)) return i == gpu;
    return !num(gpu, "mig", 0);
}

static int gpu_count(void) { return (int)num(0, "gpus", 8); }

/* PCI buses of eight GPUs behind four switches. Invented, in the shape of an HGX node. */
static unsigned bus_of(int gpu) {
    static const unsigned buses[] = {0x1B, 0x43, 0x52, 0x61, 0x9D, 0xC3, 0xD1, 0xDF};
    return (unsigned)num(gpu, "bus", gpu < 8 ? buses[gpu] : 0xE0 + gpu);
}

/* UUIDs of this pattern are never accepted as real (gpuaccept/device/nvidia/loaded.py). */
static void uuid_of(int gpu, unsigned char bytes[16]) {
    for (int i = 0; i < 16; i++) bytes[i] = i % 2 ? 0xAB : 0x57;
    bytes[15] = (unsigned char)gpu;
}

/* Called first by every entry point: log it, then the fault that the state file asks for (0: none). */
static int enter(const char *function, int gpu) {
    static struct { char name[64]; long calls; } seen[256];
    char key[96], b[64];
    int i = 0;
    stub_log("call", function);
    while (i < 255 && seen[i].name[0] && strcmp(seen[i].name, function)) i++;
    snprintf(seen[i].name, sizeof seen[i].name, "%s", function);
    long call = ++seen[i].calls;
    snprintf(key, sizeof key, "fault.%s", function);
    if (!text(b, sizeof b, gpu, key, "")[0]) return 0;
    char *at = strchr(b, '@');
    if (at && atol(at + 1) != call) return 0;
    if (!strncmp(b, "hang", 4)) for (;;) pause();
    return atoi(b);
}
