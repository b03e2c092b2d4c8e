// Lets a .cu file compile for the host: CUDA's keywords and built-ins over ordinary memory, one thread after the other.
// Not covered: threads that wait for each other, inline PTX, mma, extern __shared__. Kernels keep those under
// #ifdef __CUDA_ARCH__ with a plain twin beside it.
#pragma once
#include <cmath>
#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; };
static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;

#define __global__
#define __device__
#define __restrict__
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)

static int __float2int_rn(float x) { return (int)std::nearbyint(x); }
template <class T, class U> T atomicAdd(T *p, U v) { T old = *p; *p = old + (T)v; return old; }

namespace stub {
struct Kernel { std::function<void(void **)> call; unsigned arguments, pointers; };   // bit n: argument n is a pointer
inline std::map<std::string, Kernel> &kernels() { static std::map<std::string, Kernel> k; return k; }
struct Register {
    template <class... A> Register(const char *name, void (*f)(A...)) {
        unsigned pointers = 0, n = 0;
        ((pointers |= std::is_pointer<A>::value ? 1u << n : 0u, ++n), ...);
        kernels()[name] = {[f](void **a) { call(f, a, std::index_sequence_for<A...>{}); }, n, pointers};
    }
    template <class... A, size_t... I> static void call(void (*f)(A...), void **a, std::index_sequence<I...>) {
        f(*static_cast<std::remove_cv_t<A> *>(a[I])...);
    }
};
}  // namespace stub

// What the stub driver calls (by dlsym).
extern "C" __attribute__((visibility("default"))) int stub_kernel_known(const char *name) {
    return stub::kernels().count(name) > 0;
}
extern "C" __attribute__((visibility("default"))) unsigned stub_kernel_arguments(const char *name,
                                                                              unsigned *pointers) {
    *pointers = stub::kernels().at(name).pointers;
    return stub::kernels().at(name).arguments;
}
// Block `odd_block` (-1: none) works with `odd` arguments; block moved[0] (-1: none) is taken for block moved[1].
extern "C" __attribute__((visibility("default"))) void stub_kernel_run(const char *name, const unsigned g[3],
                                                                      const unsigned b[3], void **args, void **odd,
                                                                      long odd_block, const long moved[2]) {
    static std::mutex one_at_a_time;                 // the built-ins are globals
    std::lock_guard<std::mutex> lock(one_at_a_time);
    const stub::Kernel &kernel = stub::kernels().at(name);
    gridDim = {g[0], g[1], g[2]};
    blockDim = {b[0], b[1], b[2]};
    for (blockIdx.z = 0; blockIdx.z < g[2]; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < g[1]; blockIdx.y++)
            for (unsigned x = 0; x < g[0]; x++) {
                void **arguments = (long)x == odd_block ? odd : args;
                blockIdx.x = (long)x == moved[0] ? (unsigned)moved[1] : x;
                for (threadIdx.z = 0; threadIdx.z < b[2]; threadIdx.z++)
                    for (threadIdx.y = 0; threadIdx.y < b[1]; threadIdx.y++)
                        for (threadIdx.x = 0; threadIdx.x < b[0]; threadIdx.x++) kernel.call(arguments);
            }
}
