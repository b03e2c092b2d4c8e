// Memory integrity: one launch reads each word once, compares it with the old pattern, and writes the next: one element
// of a march test at the cost of one read and one write a byte. grid = bytes / tile, as in stream.cu.
//
// `a` is where this launch begins, `first` the index of its first vector in the memory under test, so that a sweep may
// begin anywhere and a part can be tested by itself. To test a part again: write_* it, read at least twice the L2 of
// other memory, then `retest`: what L2 still holds says nothing about the cells.
#include "common.cuh"
enum { SOLID = 0, ADDRESS = 1, RANDOM = 2 };
// A word that was wrong: its index in the memory under test, what was there at first and at once read again (L2 answers
// that), how many later tests found it wrong again, and the SM that read it.
struct fault { u64 word; u32 expected, got, again, wrong_again, sm, unused; };

// SOLID: `value` in each word. ADDRESS: the word's own index xor `value`; the upper half of the index is mixed in, since
// the lower alone repeats each 16 GiB. RANDOM: a hash of index and `value`.
template <int K> __device__ __forceinline__ vec make(u64 vector, u32 value) {
    if constexpr (K == RANDOM) {
        return pattern(vector, value);
    } else {
        vec v;
        u64 word = vector * VEC;                       // a multiple of VEC, so that word + i is word ^ i
        u32 x = K == SOLID ? value : (u32)word ^ (u32)(word >> 32) * 0x01000193u ^ value;
#pragma unroll
        for (int i = 0; i < VEC; ++i) v.w[i] = K == SOLID ? x : x ^ i;
        return v;
    }
}
__device__ __forceinline__ u32 read_again(const u32* p) { return *(const volatile u32*)p; }

// The rare path. Words are shifted through fixed registers, since an array that is indexed at run time would have to
// lie in local memory. One atomic a thread: memory that is wrong everywhere must not take minutes.
template <int K> __device__ void report(const u32* a, u64 first, vec (&got)[UNROLL], u32 value, u64* count,
                                        fault* list, u32 room) {
    u32 wrong = 0, sm = sm_id();
#ifdef __CUDA_ARCH__
    asm volatile("" : "+r"(value));       // computed anew here: 32 expected words kept for this would not fit registers
#endif
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) {
        vec e = make<K>(first + AT(j), value);
#pragma unroll
        for (int i = 0; i < VEC; ++i) wrong += got[j].w[i] != e.w[i];
    }
    u64 slot = atomicAdd(count, (u64)wrong);
#pragma unroll 1
    for (int j = 0; j < UNROLL && slot < room; ++j) {
        vec e = make<K>(first + AT(j), value);
#pragma unroll 1
        for (int i = 0; i < VEC && slot < room; ++i) {
            if (got[0].w[0] != e.w[0]) {
                u32 again = read_again(a + AT(j) * VEC + i);
                list[slot++] = fault{(first + AT(j)) * VEC + i, e.w[0], got[0].w[0], again, 0u, sm, 0u};
            }
#pragma unroll
            for (int n = 0; n + 1 < UNROLL * VEC; ++n)
                got[n / VEC].w[n % VEC] = got[(n + 1) / VEC].w[(n + 1) % VEC];
#pragma unroll
            for (int n = 0; n + 1 < VEC; ++n) e.w[n] = e.w[n + 1];
        }
    }
}
// Counts the words that are wrong in *count, and lists the first `room` of them, in no order.
template <int K> __device__ __forceinline__ void test(const u32* a, u64 first, vec (&got)[UNROLL], u32 value,
                                                      u64* count, fault* list, u32 room) {
    u32 differ = 0;
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) {
        vec e = make<K>(first + AT(j), value);
#pragma unroll
        for (int i = 0; i < VEC; ++i) differ |= got[j].w[i] ^ e.w[i];        // one operation a word
    }
    if (differ) report<K>(a, first, got, value, count, list, room);
}
__device__ __forceinline__ void read_tile(const u32* a, vec (&v)[UNROLL]) {
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) v[j] = load(a + AT(j) * VEC);
}
template <int N> __device__ __forceinline__ void write(u32* a, u64 first, u32 next) {
#pragma unroll
    for (int j = 0; j < UNROLL; ++j) store(a + AT(j) * VEC, make<N>(first + AT(j), next));
}
template <int K> __device__ __forceinline__ void check(const u32* a, u64 first, u32 was, u64* count, fault* list,
                                                       u32 room) {
    vec v[UNROLL];
    read_tile(a, v);
    test<K>(a, first, v, was, count, list, room);
}
template <int K, int N> __device__ __forceinline__ void step(u32* a, u64 first, u32 was, u32 next, u64* count,
                                                             fault* list, u32 room) {
    check<K>(a, first, was, count, list, room);
    write<N>(a, first, next);
}
#define KERNEL extern "C" __global__ void __launch_bounds__(256)
#define STEP u32 *a, u64 first, u32 was, u32 next, u64 *count, fault *list, u32 room
#define CHECK const u32 *a, u64 first, u32 was, u64 *count, fault *list, u32 room
#define WRITE u32 *a, u64 first, u32 next
KERNEL step_solid_solid(STEP) { step<SOLID, SOLID>(a, first, was, next, count, list, room); }
KERNEL step_solid_address(STEP) { step<SOLID, ADDRESS>(a, first, was, next, count, list, room); }
KERNEL step_solid_random(STEP) { step<SOLID, RANDOM>(a, first, was, next, count, list, room); }
KERNEL step_address_solid(STEP) { step<ADDRESS, SOLID>(a, first, was, next, count, list, room); }
KERNEL step_address_address(STEP) { step<ADDRESS, ADDRESS>(a, first, was, next, count, list, room); }
KERNEL step_address_random(STEP) { step<ADDRESS, RANDOM>(a, first, was, next, count, list, room); }
KERNEL step_random_solid(STEP) { step<RANDOM, SOLID>(a, first, was, next, count, list, room); }
KERNEL step_random_address(STEP) { step<RANDOM, ADDRESS>(a, first, was, next, count, list, room); }
KERNEL step_random_random(STEP) { step<RANDOM, RANDOM>(a, first, was, next, count, list, room); }
KERNEL check_solid(CHECK) { check<SOLID>(a, first, was, count, list, room); }
KERNEL check_address(CHECK) { check<ADDRESS>(a, first, was, count, list, room); }
KERNEL check_random(CHECK) { check<RANDOM>(a, first, was, count, list, room); }
KERNEL write_solid(WRITE) { write<SOLID>(a, first, next); }
KERNEL write_address(WRITE) { write<ADDRESS>(a, first, next); }
KERNEL write_random(WRITE) { write<RANDOM>(a, first, next); }

// One thread a listed word reads it once more and counts in `wrong_again`. `base` is word 0 of the memory under test.
extern "C" __global__ void retest(const u32* base, fault* list, u32 listed) {
    u32 n = blockIdx.x * blockDim.x + threadIdx.x;
    if (n < listed && read_again(base + list[n].word) != list[n].expected) ++list[n].wrong_again;
}
