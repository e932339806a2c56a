// Compile a KERNEL once per instruction set; choose one of them, and the threads, when it runs.
//
// Define KERNEL as the file name of the kernel, then include this file. Nothing the host
// compiler knows of its own processor decides a bit: fused multiply-adds are written out and
// -ffp-contract=off forbids any other.

#include "host.h"

namespace plain {
#define VECTOR_BYTES 0
#include "simd.h"
#include KERNEL
#undef VECTOR_BYTES
}

#if defined(__x86_64__)
#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("no-avx512f,avx2,fma")
namespace avx2 {
#define VECTOR_BYTES 32
#include "simd.h"
#include KERNEL
#undef VECTOR_BYTES
}
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma,prefer-vector-width=512")
namespace avx512 {
#define VECTOR_BYTES 64
#include "simd.h"
#include KERNEL
#undef VECTOR_BYTES
}
#pragma GCC pop_options
#define CHOOSE(function) (isa() == 2 ? avx512::function : isa() == 1 ? avx2::function : plain::function)

#else
#define CHOOSE(function) (plain::function)
#endif

// 2: AVX-512, 1: AVX2 and FMA, 0: neither. DEEP_ARTISTS_ISA=plain|avx2 asks for less.
static int isa() {
    static int chosen = -1;
    if (chosen < 0) {
        int best = 0;
#if defined(__x86_64__)
        __builtin_cpu_init();
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) best = 1;
        if (best && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
            best = 2;
#endif
        const char *asked = getenv("DEEP_ARTISTS_ISA");
        if (asked && !strcmp(asked, "plain")) best = 0;
        if (asked && !strcmp(asked, "avx2")) best = std::min(best, 1);
        chosen = best;
    }
    return chosen;
}
