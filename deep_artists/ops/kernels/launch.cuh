// Kernels that run on the device or on the host, and how XLA calls them.
//
// A kernel is a struct: blocks of THREADS threads run it in `phases`, and between two phases the
// threads of a block wait for each other. Shared is what they share, Local what each one keeps.
// nvcc makes it a launch on XLA's stream, g++ plain loops over the same body. Every output has one
// thread that owns it and sums in the stated order, so that both give the bits of the C kernels.

#pragma once
#include <algorithm>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;
typedef int32_t Index;  // jax/ffi.py refuses arrays beyond it; 64-bit divisions are slow
struct Nothing {};

#ifdef __CUDACC__

#define DEVICE __host__ __device__ __forceinline__
#define BINDING ffi::Ffi::Bind().Ctx<ffi::PlatformStream<cudaStream_t>>()
#define STREAM_PARAMETER cudaStream_t stream,
#define STREAM stream,
typedef cudaStream_t Stream;

template <class K> __global__ void __launch_bounds__(K::THREADS) run_kernel(const K kernel) {
    __shared__ typename K::Shared shared;
    typename K::Local local;
    for (Index phase = 0; phase < kernel.phases; phase++) {
        if (phase) __syncthreads();
        kernel.run(phase, (Index)blockIdx.x, (int)threadIdx.x, shared, local);
    }
}

template <class K> static const char *run_blocks(const K &kernel, Index blocks, Stream stream) {
    run_kernel<<<blocks, K::THREADS, 0, stream>>>(kernel);
    const cudaError_t status = cudaGetLastError();
    return status == cudaSuccess ? nullptr : cudaGetErrorString(status);
}

#else

#define DEVICE inline
#define BINDING ffi::Ffi::Bind()
#define STREAM_PARAMETER
#define STREAM nullptr,
typedef void *Stream;

#ifdef RUN_BLOCKS
#include RUN_BLOCKS  // a test's, which runs the device code
#else
template <class K> static const char *run_blocks(const K &kernel, Index blocks, Stream) {
    std::fenv_t of_caller;
    std::fegetenv(&of_caller);
    std::fesetenv(FE_DFL_ENV);  // XLA's threads flush denormals
    const std::unique_ptr<typename K::Shared> shared(new typename K::Shared);
    std::vector<typename K::Local> local(K::THREADS);
    for (Index block = 0; block < blocks; block++)
        for (Index phase = 0; phase < kernel.phases; phase++)
            for (int k = 0; k < K::THREADS; k++) {
                // Turned every other block: within a phase no order may matter.
                const int thread = block % 2 ? K::THREADS - 1 - k : k;
                kernel.run(phase, block, thread, *shared, local[thread]);
            }
    std::fesetenv(&of_caller);
    return nullptr;
}
#endif

#endif

// Arrays and numbers that XLA hands over. Their shapes were checked where the graph was traced.
struct Call {
    Stream stream;
    ffi::RemainingArgs args;
    ffi::RemainingRets results;
    ffi::Dictionary numbers;
    ffi::Error error = ffi::Error::Success();

    Index dim(int arg, int axis) const {
        return (Index)args.get<ffi::AnyBuffer>(arg)->dimensions()[axis];
    }
    Index size(int arg) const { return (Index)args.get<ffi::AnyBuffer>(arg)->element_count(); }
    bool is_float() const {
        return args.get<ffi::AnyBuffer>(0)->element_type() == ffi::DataType::F32;
    }
    Index number(const char *name) const {
        return (Index)std::min<int64_t>(numbers.get<int64_t>(name).value(), INT32_MAX);
    }
    template <class T> const T *in(int arg) const {
        return (const T *)args.get<ffi::AnyBuffer>(arg)->untyped_data();
    }
    template <class T> T *out(int result) const {
        return (T *)(*results.get<ffi::AnyBuffer>(result))->untyped_data();
    }
    template <class K> void launch(const K &kernel, Index blocks) {
        if (blocks == 0 || error.failure()) return;
        if (const char *failed = run_blocks(kernel, blocks, stream))
            error = ffi::Error::Internal(std::string("deep_artists kernel: ") + failed);
    }
};

// Export template function<T>(Call &) as the handler deep_artists_<function>, for both dtypes.
#define HANDLER(function)                                                                     \
    static ffi::Error call_##function(STREAM_PARAMETER ffi::RemainingArgs args,               \
                                      ffi::RemainingRets results, ffi::Dictionary numbers) {  \
        Call call{STREAM args, results, numbers};                                             \
        if (call.is_float()) function<float>(call);                                           \
        else function<double>(call);                                                          \
        return call.error;                                                                    \
    }                                                                                         \
    XLA_FFI_DEFINE_HANDLER_SYMBOL(deep_artists_##function, call_##function,                   \
                                  BINDING.RemainingArgs().RemainingRets().Attrs(),            \
                                  {ffi::Traits::kCmdBufferCompatible});

static DEVICE Index divide_up(Index n, Index by) { return (n + by - 1) / by; }

static DEVICE int lowest_bit(uint32_t word) {
#ifdef __CUDA_ARCH__
    return __ffs(word) - 1;
#else
    return __builtin_ctz(word);
#endif
}

static DEVICE int count_bits(uint32_t word) {
#ifdef __CUDA_ARCH__
    return __popc(word);
#else
    return __builtin_popcount(word);
#endif
}
