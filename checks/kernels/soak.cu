// Soak load: tensor cores from registers, with memory traffic beside them, and an exact result.
//
// A and B hold whole numbers from -3 to 3 in bf16, and |sum| stays below 2^24, so that every partial sum in fp32 is
// exact: the result depends on no order of adding, and is the same on every iteration, SM, GPU and architecture, and in
// plain integers on the host. A wrong bit anywhere is a wrong result.
#include "common.cuh"
#define ACC 8                 // independent accumulators a warp: enough to cover the latency of mma.sync
// Two operands from six bits.
__device__ __forceinline__ u32 pair(u32 r) { return small(r) | small(r >> 3) << 16; }
// One lane's registers of two A (16 x 16) and ACC B (16 x 8), as mma.m16n8k16 distributes them.
__device__ __forceinline__ void operands(u32 seed, u32 lane, u32 (&a)[2][4], u32 (&b)[ACC][2]) {
    u32 r = mix(lane, seed);
#pragma unroll
    for (int i = 0; i < 8; ++i) { a[i >> 2][i & 3] = pair(r); r = r * 1664525u + 1013904223u; r ^= r >> 16; }
#pragma unroll
    for (int i = 0; i < ACC * 2; ++i) { b[i >> 1][i & 1] = pair(r); r = r * 1664525u + 1013904223u; r ^= r >> 16; }
}
// One lane's share of the signature: results and their positions count.
__device__ __forceinline__ u64 sign(const float (&d)[ACC][4], u32 lane) {
    u64 h = 0;
#pragma unroll
    for (int i = 0; i < ACC * 4; ++i) h = h * 0x100000001B3ull + (u64)(u32)__float2int_rn(d[i >> 2][i & 3]);
    h ^= h >> 29;
    return h * (0xBF58476D1CE4E5B9ull + 2 * lane);
}
#ifdef __CUDA_ARCH__
__device__ __forceinline__ void mma(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#else
// The twin: one thread does a warp's work, lane by lane, in the layout that the PTX ISA gives for mma.m16n8k16. All
// products of a launch are equal in pairs, so the sum of steps / 2 of them is one multiplication.
inline u64 signature_of_warp(u32 seed, u32 steps) {
    float a[2][16][16], b[ACC][16][8];
    for (u32 lane = 0; lane < 32; ++lane) {
        u32 ra[2][4], rb[ACC][2], row = lane >> 2, column = (lane & 3) * 2;
        operands(seed, lane, ra, rb);
        for (u32 h = 0; h < 2; ++h) {
            for (int k = 0; k < 2; ++k)
                for (u32 i = 0; i < 4; ++i)
                    a[k][row + (i & 1) * 8][column + (i >> 1) * 8 + h] = value(ra[k][i] >> 16 * h & 0xFFFF);
            for (int n = 0; n < ACC; ++n)
                for (u32 i = 0; i < 2; ++i) b[n][column + i * 8 + h][row] = value(rb[n][i] >> 16 * h & 0xFFFF);
        }
    }
    u64 sum = 0;
    for (u32 lane = 0; lane < 32; ++lane) {
        float d[ACC][4] = {};
        for (int n = 0; n < ACC; ++n)
            for (u32 i = 0; i < 4; ++i) {
                u32 row = (lane >> 2) + (i >> 1) * 8, column = (lane & 3) * 2 + (i & 1);
                for (u32 k = 0; k < 32; ++k) d[n][i] += a[k >> 4][row][k & 15] * b[n][k & 15][column];
                d[n][i] *= (float)(steps / 2);
            }
        sum += sign(d, lane);
    }
    return sum;
}
#endif
// Each warp multiplies the same operands and holds its signature against `expected`, which the host computes in integers;
// of_sm[SM] counts, so that no launch has to be waited for and an odd SM has its name. `steps` is even and at most
// 100000 (steps * 16 * 9 < 2^24). With tiles != 0 a block copies a tile of blockDim.x vectors from `from` to `to` each
// time that (step & mask) == 0: `mask`, a power of two less one, sets the memory's share of the power.
// grid = SMs * blocks an SM.
extern "C" __global__ void __launch_bounds__(256) soak_mma(u32 seed, u32 steps, u64 expected, u32 mask,
        const u32* __restrict__ from, u32* __restrict__ to, u64 tiles, tally* of_sm, u64* signature) {
    u32 lane = threadIdx.x & 31;
#ifdef __CUDA_ARCH__
    u32 a[2][4], b[ACC][2];
    float d[ACC][4];
    operands(seed, lane, a, b);
#pragma unroll
    for (int i = 0; i < ACC * 4; ++i) d[i >> 2][i & 3] = 0.f;
#endif
    u64 tile = blockIdx.x;
    u32 stride = 2;
#ifndef __CUDA_ARCH__
    stride = tiles ? (mask | 1) + 1 : steps | 1;                       // only the steps that move something
#endif
#pragma unroll 1              // 16 products a turn are enough; more would only fill the instruction cache
    for (u32 s = 0; s < steps; s += stride) {
        vec v;
        bool move = tile < tiles && (s & mask) == 0;
        if (move) v = load(from + (tile * blockDim.x + threadIdx.x) * VEC);  // in flight while the tensor cores run
#ifdef __CUDA_ARCH__
#pragma unroll
        for (int k = 0; k < 2; ++k)
#pragma unroll
            for (int i = 0; i < ACC; ++i) mma(d[i], a[k], b[i]);       // operands change each time: wires toggle
#endif
        if (move) {
            store(to + (tile * blockDim.x + threadIdx.x) * VEC, v);
            tile += gridDim.x;
            if (tile >= tiles) tile = blockIdx.x;
        }
    }
#ifdef __CUDA_ARCH__
    u64 h = sign(d, lane);
#pragma unroll
    for (int x = 16; x; x >>= 1) h += __shfl_xor_sync(0xffffffffu, h, x);
    if (lane) return;
#else
    if (lane) return;
    u64 h = signature_of_warp(seed, steps);
#endif
    count(h, expected, of_sm, signature);
}
