// Soak load at the tensor cores' full rate: wgmma on Hopper (compiled for sm_90a), tcgen05 on Blackwell (sm_100a, sm_103a).
// On these mma.sync, which soak.cu runs on every GPU, reaches a part of that rate only.
//
// A block multiplies two A (ROWS x 16) in turn by one B (16 x 256) from shared memory, over and over, into one product
// in fp32. As in soak.cu the operands are whole numbers from -3 to 3, so that every sum is exact and the host knows it.
// Layouts: PTX ISA, "Matrix Descriptor Format" and "Register Fragments" of wgmma, "Shared memory descriptor",
// "Instruction descriptor" and "Tensor Memory" of tcgen05.
#include "common.cuh"
typedef unsigned short u16;
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define ROWS 64
#else
#define ROWS 128
#endif
#define COLUMNS 256           // the widest product of one instruction
#define DEPTH 16              // terms that one step adds to each sum
#define CHUNK 16              // steps that are queued at a time
#define VECTORS 2             // what a thread moves through memory beside a chunk

// Element i of an operand.
__device__ __forceinline__ u16 element(u32 i, u32 seed) { return (u16)small(mix(i, seed) >> 7); }
// The seeds of both A and of B.
#define SEED_A(seed, which) ((seed) * 3u + (which))
#define SEED_B(seed) ((seed) * 3u + 2u)
// What one element of the product adds to the block's signature: its value and its place, in whatever order.
__device__ __forceinline__ u64 sign(u32 row, u32 column, float value) {
    u64 h = (u64)(row * COLUMNS + column) << 32 | (u32)__float2int_rn(value);
    h *= 0xBF58476D1CE4E5B9ull;
    return (h ^ h >> 29) * 0x94D049BB133111EBull;
}
// The part of a block's traffic through memory that a chunk has beside it: VECTORS * blockDim.x vectors of one tile.
struct mover {
    const u32* from; u32* to;
    u64 tiles, tile;
    vec v[VECTORS];
    __device__ __forceinline__ u64 at(int j) const { return (tile * VECTORS * blockDim.x + j * blockDim.x + threadIdx.x) * VEC; }
    __device__ __forceinline__ void begin() {
#pragma unroll
        for (int j = 0; j < VECTORS; ++j) v[j] = load(from + at(j));
    }
    __device__ __forceinline__ void end() {
#pragma unroll
        for (int j = 0; j < VECTORS; ++j) store(to + at(j), v[j]);
        tile += gridDim.x;
        if (tile >= tiles) tile = blockIdx.x;
    }
};
#ifdef __CUDA_ARCH__
__device__ __forceinline__ u32 shared_address(const void* p) { return (u32)__cvta_generic_to_shared(p); }
// A K-major tile without swizzle: core matrices of 8 rows of 16 bytes lie one after the other, first the two along the
// sum (128 bytes from one to the next), then those of the next 8 rows (256 bytes).
__device__ __forceinline__ u32 place(u32 i) {
    u32 row = i / DEPTH, k = i % DEPTH;
    return ((row >> 3) * 2 + (k >> 3)) * 64 + (row & 7) * 8 + (k & 7);
}
__device__ __forceinline__ u64 descriptor(const u16* tile, u64 more) {
    return (u64)((shared_address(tile) & 0x3FFFF) >> 4) | (u64)(128 >> 4) << 16 | (u64)(256 >> 4) << 32 | more;
}
__device__ __forceinline__ void fill(u16* tile, u32 rows, u32 seed) {
    for (u32 i = threadIdx.x; i < rows * DEPTH; i += blockDim.x) tile[place(i)] = element(i, seed);
}
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define D4(i) "+f"(d[i]), "+f"(d[(i) + 1]), "+f"(d[(i) + 2]), "+f"(d[(i) + 3])
#define D16(i) D4(i), D4((i) + 4), D4((i) + 8), D4((i) + 12)
#define D64(i) D16(i), D16((i) + 16), D16((i) + 32), D16((i) + 48)
__device__ __forceinline__ void wgmma(float (&d)[128], u64 a, u64 b) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 "
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
        " %16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"
        " %32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"
        " %48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63,"
        " %64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,"
        " %80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95,"
        " %96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,"
        " %112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127}, "
        "%128, %129, 1, 1, 1, 0, 0;"
        : D64(0), D64(64) : "l"(a), "l"(b));
}
// The product is an operand of the last wait: nothing else tells the compiler that it can't be read before it.
__device__ __forceinline__ void wait_for_all(float (&d)[128]) {
    asm volatile("wgmma.wait_group.sync.aligned 0;" : D64(0), D64(64) :: "memory");
}
#else
__device__ __forceinline__ void wait_for(u64* barrier, u32 parity) {
    u32 done;
    do {
        asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
            : "=r"(done) : "r"(shared_address(barrier)), "r"(parity) : "memory");
    } while (!done);
}
// One thread of a whole warp: what it queues needs to be queued once.
__device__ __forceinline__ bool elected() {
    u32 mine;
    asm volatile("{ .reg .pred p; elect.sync _|p, 0xffffffff; selp.u32 %0, 1, 0, p; }" : "=r"(mine));
    return mine;
}
// f32 += bf16 * bf16, both K-major, N 256, M 128.
#define INSTRUCTION (1u << 4 | 1u << 7 | 1u << 10 | (COLUMNS >> 3) << 17 | (ROWS >> 4) << 24)
__device__ __forceinline__ void tcgen05_mma(u32 tensor_memory, u64 a, u64 b, u32 add) {
    asm volatile("{ .reg .pred p; setp.ne.u32 p, %4, 0; tcgen05.mma.cta_group::1.kind::f16 [%0], %1, %2, %3, p; }"
        :: "r"(tensor_memory), "l"(a), "l"(b), "r"(INSTRUCTION), "r"(add) : "memory");
}
#endif
#endif
// Each block holds its signature against `expected`, which the host computes in integers; of_sm[SM] counts. `steps` is a
// multiple of 16 and at most 100000 (steps * 16 * 9 < 2^24). With tiles != 0 a block copies a tile of 2 * blockDim.x
// vectors from `from` to `to` each time that (step & mask) == 0, every 16 steps at most. grid = SMs * 2: tensor memory
// has room for two.
extern "C" __global__ void __launch_bounds__(128, 2) soak_wide(u32 seed, u32 steps, u64 expected, u32 mask,
        const u32* __restrict__ from, u32* __restrict__ to, u64 tiles, tally* of_sm, u64* signature) {
    mover memory = {from, to, tiles, blockIdx.x};
#ifdef __CUDA_ARCH__
    __shared__ __align__(128) u16 a[2][ROWS * DEPTH], b[COLUMNS * DEPTH];
    __shared__ u64 sum;
    if (threadIdx.x == 0) sum = 0;
    fill(a[0], ROWS, SEED_A(seed, 0));
    fill(a[1], ROWS, SEED_A(seed, 1));
    fill(b, COLUMNS, SEED_B(seed));
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");      // the tensor cores read what was written just now
    u64 h = 0;
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    __syncthreads();
    u64 da[2] = {descriptor(a[0], 0), descriptor(a[1], 0)}, db = descriptor(b, 0);
    float d[128];
#pragma unroll
    for (int i = 0; i < 128; ++i) d[i] = 0.f;
#pragma unroll 1
    for (u32 s = 0; s < steps; s += CHUNK) {
        bool move = memory.tile < tiles && (s & mask) == 0;
        if (move) memory.begin();                                     // in flight while the tensor cores run
        asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#pragma unroll
        for (int k = 0; k < CHUNK; ++k) wgmma(d, da[k & 1], db);      // operands change each time: wires toggle
        asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
        if (move) memory.end();
        asm volatile("wgmma.wait_group.sync.aligned 1;" ::: "memory"); // the next chunk is queued behind this one
    }
    wait_for_all(d);
    u32 row = threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4, column = threadIdx.x % 4 * 2;
#pragma unroll
    for (int i = 0; i < 128; ++i) h += sign(row + (i >> 1 & 1) * 8, column + (i >> 2) * 8 + (i & 1), d[i]);
#else
    __shared__ u64 barriers[2];                                       // of even and odd chunks
    __shared__ u32 allotted;
    if (threadIdx.x < 32) {
        asm volatile("tcgen05.alloc.cta_group::1.sync.aligned.shared::cta.b32 [%0], %1;"
            :: "r"(shared_address(&allotted)), "r"(COLUMNS) : "memory");
        asm volatile("tcgen05.relinquish_alloc_permit.cta_group::1.sync.aligned;");
    }
    if (threadIdx.x == 0) {
        for (int i = 0; i < 2; ++i)
            asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" :: "r"(shared_address(&barriers[i])) : "memory");
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncthreads();
    u32 tensor_memory = allotted, chunks = steps / CHUNK;
    u64 da[2] = {descriptor(a[0], 1ull << 46), descriptor(a[1], 1ull << 46)}, db = descriptor(b, 1ull << 46);
#pragma unroll 1
    for (u32 n = 0; n < chunks; ++n) {
        bool move = memory.tile < tiles && (n * CHUNK & mask) == 0;
        if (move) memory.begin();
        if (n > 1) wait_for(&barriers[n & 1], (n >> 1) - 1 & 1);       // one chunk runs, one is queued behind it
        __syncthreads();                                              // nobody falls two phases of a barrier behind
        if (threadIdx.x < 32 && elected()) {
#pragma unroll
            for (int k = 0; k < CHUNK; ++k) tcgen05_mma(tensor_memory, da[k & 1], db, n | k);
            asm volatile("tcgen05.commit.cta_group::1.mbarrier::arrive::one.shared::cluster.b64 [%0];"
                :: "r"(shared_address(&barriers[n & 1])) : "memory");
        }
        __syncwarp();
        if (move) memory.end();
    }
    wait_for(&barriers[chunks - 1 & 1], chunks - 1 >> 1 & 1);
    asm volatile("tcgen05.fence::after_thread_sync;" ::: "memory");
#pragma unroll 1
    for (u32 column = 0; column < COLUMNS; column += 8) {             // a warp reads its own 32 rows, a thread one of them
        u32 r[8];
        // One statement with its wait: what is read is there when the compiler may use it, and no sooner.
        asm volatile("tcgen05.ld.sync.aligned.32x32b.x8.b32 {%0,%1,%2,%3,%4,%5,%6,%7}, [%8]; "
            "tcgen05.wait::ld.sync.aligned;"
            : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]), "=r"(r[4]), "=r"(r[5]), "=r"(r[6]), "=r"(r[7])
            : "r"(tensor_memory + ((threadIdx.x & ~31u) << 16) + column) : "memory");
#pragma unroll
        for (int i = 0; i < 8; ++i) h += sign(threadIdx.x, column + i, __uint_as_float(r[i]));
    }
    asm volatile("tcgen05.fence::before_thread_sync;" ::: "memory");
    __syncthreads();
    if (threadIdx.x < 32)
        asm volatile("tcgen05.dealloc.cta_group::1.sync.aligned.b32 %0, %1;" :: "r"(tensor_memory), "r"(COLUMNS));
#endif
    add_to(&sum, h);
    __syncthreads();
    if (threadIdx.x == 0) count(sum, expected, of_sm, signature);
#else
    // The twin: each thread moves its vectors, and the first does the block's product, of which all steps are equal in
    // pairs.
    u32 stride = tiles ? (mask | CHUNK - 1) + 1 : steps | 1;          // only the steps that move something
    for (u32 s = 0; s < steps; s += stride)
        if (memory.tile < tiles) { memory.begin(); memory.end(); }
    if (threadIdx.x) return;
    u64 sum = 0;
    for (u32 row = 0; row < ROWS; ++row)
        for (u32 column = 0; column < COLUMNS; ++column) {
            float d = 0.f;
            for (u32 k = 0; k < DEPTH; ++k)
                d += (value(element(row * DEPTH + k, SEED_A(seed, 0))) + value(element(row * DEPTH + k, SEED_A(seed, 1))))
                    * value(element(column * DEPTH + k, SEED_B(seed)));
            sum += sign(row, column, d * (float)(steps / 2));
        }
    count(sum, expected, of_sm, signature);
#endif
}
