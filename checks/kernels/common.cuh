#pragma once
// What all kernels share: vector access, the data pattern, checksums. No include, so that a node needs no CUDA headers.
// Every piece of inline PTX has a plain C++ twin for compilers that are not the device's: the tests run the same source
// on the host.
typedef unsigned int u32;
typedef unsigned long long u64;
#ifndef UNROLL
#define UNROLL 4              // vectors in flight a thread: enough bytes in flight for HBM3e at 2048 threads an SM
#endif
#ifndef VEC
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
#define VEC 8                 // 32-bit words an access: 256-bit LDG and STG exist from sm_100 on (PTX 8.8)
#else
#define VEC 4                 // 128-bit
#endif
#endif
struct vec { u32 w[VEC]; };

// Streaming load: no line is kept in L1, and L2 is told to give up the line first.
__device__ __forceinline__ vec load(const u32* p) {
    vec v;
#ifndef __CUDA_ARCH__
    for (int i = 0; i < VEC; ++i) v.w[i] = ((const volatile u32*)p)[i];
#elif VEC == 8
    asm volatile("ld.global.L1::no_allocate.L2::evict_first.v8.b32 {%0,%1,%2,%3,%4,%5,%6,%7}, [%8];"
        : "=r"(v.w[0]), "=r"(v.w[1]), "=r"(v.w[2]), "=r"(v.w[3]), "=r"(v.w[4]), "=r"(v.w[5]), "=r"(v.w[6]), "=r"(v.w[7])
        : "l"(p));
#else
    asm volatile("ld.global.L1::no_allocate.v4.b32 {%0,%1,%2,%3}, [%4];"
        : "=r"(v.w[0]), "=r"(v.w[1]), "=r"(v.w[2]), "=r"(v.w[3]) : "l"(p));
#endif
    return v;
}
__device__ __forceinline__ void store(u32* p, const vec& v) {
#ifndef __CUDA_ARCH__
    for (int i = 0; i < VEC; ++i) p[i] = v.w[i];
#elif VEC == 8
    asm volatile("st.global.L2::evict_first.v8.b32 [%8], {%0,%1,%2,%3,%4,%5,%6,%7};"
        :: "r"(v.w[0]), "r"(v.w[1]), "r"(v.w[2]), "r"(v.w[3]), "r"(v.w[4]), "r"(v.w[5]), "r"(v.w[6]), "r"(v.w[7]), "l"(p)
        : "memory");
#else
    asm volatile("st.global.cs.v4.b32 [%4], {%0,%1,%2,%3};"
        :: "r"(v.w[0]), "r"(v.w[1]), "r"(v.w[2]), "r"(v.w[3]), "l"(p) : "memory");
#endif
}
// Data as a function of (vector index, seed): one hash of five operations a vector, one operation a word. Every vector
// differs from every other one and from every other seed's, so that an old, skipped or displaced copy cannot pass, and
// the bits on the bus toggle as those of random data do.
__device__ __forceinline__ u32 mix(u64 vector, u32 seed) {
    u32 x = ((u32)vector ^ ((u32)(vector >> 32) * 0x85EBCA6Bu)) * 0x9E3779B1u + seed;
    x ^= x >> 15; x *= 0x2C1B3C6Du;
    return x;
}
__device__ __forceinline__ vec pattern(u64 vector, u32 seed) {
    const u32 k[8] = {0u, 0x9E3779B9u, 0x3C6EF372u, 0xDAA66D2Bu, 0x78DDE6E4u, 0x1715609Du, 0xB54CDA56u, 0x5384540Fu};
    u32 x = mix(vector, seed); vec v;
#pragma unroll
    for (int i = 0; i < VEC; ++i) v.w[i] = x ^ k[i];
    return v;
}
// 64-bit sum of the words, in whatever order.
__device__ __forceinline__ u64 fold(const vec& v) {
    u64 s = 0;
#pragma unroll
    for (int i = 0; i < VEC; i += 2) s += ((u64)v.w[i + 1] << 32) | v.w[i];
    return s;
}
__device__ __forceinline__ void add_to(u64* out, u64 s) {
#ifdef __CUDA_ARCH__
#pragma unroll
    for (int d = 16; d; d >>= 1) s += __shfl_xor_sync(0xffffffffu, s, d);
    if (threadIdx.x & 31) return;
#endif
    atomicAdd(out, s);
}
// The SM that runs this thread. A host has none: there each block counts as one, up to 512.
__device__ __forceinline__ u32 sm_id() {
    u32 sm = blockIdx.x & 511;
#ifdef __CUDA_ARCH__
    asm volatile("mov.u32 %0, %smid;" : "=r"(sm));
#endif
    return sm;
}
// Operands of the soak loads: whole numbers from -3 to 3 in bf16, two bits for the size and one for the sign.
__device__ __forceinline__ u32 small(u32 r) {
    const u32 size[4] = {0x0000u, 0x3F80u, 0x4000u, 0x4040u};
    return size[r & 3] | (r & 4) << 13;
}
#ifndef __CUDA_ARCH__
inline float value(u32 bf16) {
    u32 size = bf16 & 0x7FFF;
    float v = size == 0 ? 0.f : size == 0x3F80 ? 1.f : size == 0x4000 ? 2.f : 3.f;
    return bf16 & 0x8000 ? -v : v;
}
#endif
// One SM's tally over all launches: results that a load came to, and those of them that were wrong.
struct tally { u32 done, wrong; };
__device__ __forceinline__ void count(u64 result, u64 expected, tally* of_sm, u64* odd) {
    u32 sm = sm_id();
    atomicAdd(&of_sm[sm].done, 1u);
    if (result == expected) return;
    atomicAdd(&of_sm[sm].wrong, 1u);
    *odd = result;                                                    // one of the wrong ones, for the report
}
// A block owns one tile of blockDim.x * UNROLL vectors, so that the hardware's scheduler balances the tail.
#define TILE ((u64)blockDim.x * UNROLL)
#define AT(j) ((u64)blockIdx.x * TILE + (u64)(j) * blockDim.x + threadIdx.x)
