// Device memory bandwidth: read, write, copy and triad, the proof that the data moved, and the timing's start gate.
// grid = bytes / tile, which `tile_bytes` tells; buffers are whole tiles. Counted: read n, write n, copy 2n, triad 3n.
#include "common.cuh"

// Bytes that one block of this build of this file covers, and bytes of a vector: asked for, so that the host repeats none
// of its constants.
extern "C" __global__ void tile_bytes(u64* out) {
    if (blockIdx.x || threadIdx.x) return;
    out[0] = TILE * VEC * sizeof(u32);
    out[1] = VEC * sizeof(u32);
}
// Every word that is read enters a sum that expected_sum() knows: no load can be left out.
extern "C" __global__ void __launch_bounds__(256) bw_read(const u32* __restrict__ a, u64* sum) {
    vec v[UNROLL];
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) v[j] = load(a + AT(j) * VEC);
    u64 s = 0;
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) s += fold(v[j]);
    add_to(sum, s);
}
// The data is computed, not loaded. This kernel also fills buffers for the others.
extern "C" __global__ void __launch_bounds__(256) bw_write(u32* __restrict__ a, u32 seed) {
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) store(a + AT(j) * VEC, pattern(AT(j), seed));
}
extern "C" __global__ void __launch_bounds__(256) bw_copy(const u32* __restrict__ a, u32* __restrict__ c) {
    vec v[UNROLL];
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) v[j] = load(a + AT(j) * VEC);
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) store(c + AT(j) * VEC, v[j]);
}
// a = b + 3 c on integers modulo 2^32: exact, comparable bit for bit, and not bound by the FP64 rate of those GPUs that
// have little of it. The same bytes as STREAM's triad.
extern "C" __global__ void __launch_bounds__(256) bw_triad(u32* __restrict__ a, const u32* __restrict__ b,
                                                            const u32* __restrict__ c) {
    vec x[UNROLL], y[UNROLL];
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) { x[j] = load(b + AT(j) * VEC); y[j] = load(c + AT(j) * VEC); }
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) {
#pragma unroll
        for (int i = 0; i < VEC; ++i) x[j].w[i] += 3u * y[j].w[i];
        store(a + AT(j) * VEC, x[j]);
    }
}
// The sum of pattern(seed) from registers alone: what one bw_read() adds. No memory traffic.
extern "C" __global__ void __launch_bounds__(256) expected_sum(u32 seed, u64* sum) {
    u64 s = 0;
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) s += fold(pattern(AT(j), seed));
    add_to(sum, s);
}
// Untimed: counts the words that differ from k * pattern(seed): k = 1 after a write or copy, 4 after a triad of equals.
extern "C" __global__ void __launch_bounds__(256) verify(const u32* __restrict__ a, u32 seed, u32 k, u64* wrong) {
    u64 bad = 0;
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) {
        vec v = load(a + AT(j) * VEC), e = pattern(AT(j), seed);
#pragma unroll
        for (int i = 0; i < VEC; ++i) bad += v.w[i] != k * e.w[i];
    }
    add_to(wrong, bad);
}
// Keeps the stream waiting until the host has queued everything that is to be timed, so that launches are not part of
// the span. Gives up after `ns` by the GPU's own clock, whatever its frequency, and says so in latch[1].
extern "C" __global__ void hold(volatile u32* latch, u64 ns) {
#ifdef __CUDA_ARCH__
    u64 start, now;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(start));
    do {
        asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
    } while (!latch[0] && now - start < ns);
    if (!latch[0]) latch[1] = 1;
#endif                        // a host that runs each launch to its end has nothing to wait for
}
