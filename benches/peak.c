/* What one core can do at most: prints, as JSON, multiply-adds per second in the widest vectors that the processor has, and
 * bytes read per second from L1, L2 and memory. Time is this process's on the processor, the shortest of many tries. */
#include <cpuid.h>
#include <immintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 40, CHAINS = 12, ITERATIONS = 40000 }; /* 12 chains: latency 5 at most, two per cycle */

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* X for each chain. The accumulators are single variables: an array of them would stay in memory. */
#define EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)

/* A function that steps CHAINS accumulators of type VECTOR, each by itself, ITERATIONS times. What the accumulators hold is
 * hidden from the compiler, so that it neither joins steps nor leaves them out. */
#define CHAINED(NAME, TARGET, VECTOR, ZERO, STEP)                                                                          \
    __attribute__((target(TARGET), noinline)) static void NAME(void) {                                                     \
        VECTOR x = ZERO, y = ZERO;                                                                                         \
        VECTOR a0 = x, a1 = x, a2 = x, a3 = x, a4 = x, a5 = x, a6 = x, a7 = x, a8 = x, a9 = x, a10 = x, a11 = x;           \
        for (int n = 0; n < ITERATIONS; ++n) {                                                                             \
            __asm__ volatile("" : "+v"(x), "+v"(y));                                                                       \
            EACH(STEP)                                                                                                     \
        }                                                                                                                  \
    }
#define HIDE(variable) __asm__ volatile("" : "+v"(variable));

#define SSE_F32(i) HIDE(x) a##i = _mm_add_ps(a##i, _mm_mul_ps(x, y)); HIDE(a##i)
#define FMA_F32(i) a##i = _mm256_fmadd_ps(x, y, a##i); HIDE(a##i)
#define AVX512_F32(i) a##i = _mm512_fmadd_ps(x, y, a##i); HIDE(a##i)
#define SSE_I16(i) HIDE(x) a##i = _mm_add_epi32(a##i, _mm_madd_epi16(x, y)); HIDE(a##i)
#define AVX2_I16(i) HIDE(x) a##i = _mm256_add_epi32(a##i, _mm256_madd_epi16(x, y)); HIDE(a##i)
#define AVX512_I16(i) HIDE(x) a##i = _mm512_add_epi32(a##i, _mm512_madd_epi16(x, y)); HIDE(a##i)
#define AVX_VNNI_I8(i) a##i = _mm256_dpbusd_avx_epi32(a##i, x, y); HIDE(a##i)
#define AVX512_VNNI_I8(i) a##i = _mm512_dpbusd_epi32(a##i, x, y); HIDE(a##i)

CHAINED(sse_f32, "sse2", __m128, _mm_setzero_ps(), SSE_F32)
CHAINED(fma_f32, "avx2,fma", __m256, _mm256_setzero_ps(), FMA_F32)
CHAINED(avx512_f32, "avx512f", __m512, _mm512_setzero_ps(), AVX512_F32)
CHAINED(sse_i16, "sse2", __m128i, _mm_setzero_si128(), SSE_I16)
CHAINED(avx2_i16, "avx2", __m256i, _mm256_setzero_si256(), AVX2_I16)
CHAINED(avx512_i16, "avx512f,avx512bw", __m512i, _mm512_setzero_si512(), AVX512_I16)
CHAINED(avx_vnni_i8, "avx2,avxvnni", __m256i, _mm256_setzero_si256(), AVX_VNNI_I8)
CHAINED(avx512_vnni_i8, "avx512f,avx512vnni", __m512i, _mm512_setzero_si512(), AVX512_VNNI_I8)

/* A function that reads BYTES of a buffer, in vectors of REGISTER bytes, 8 at a time. */
#define READING(NAME, TARGET, LOAD, REGISTER)                                                                             \
    __attribute__((target(TARGET), noinline)) static void NAME(const char *buffer, size_t bytes) {                        \
        for (size_t at = 0; at + 8 * REGISTER <= bytes; at += 8 * REGISTER) {                                             \
            _Pragma("GCC unroll 8") for (int i = 0; i < 8; ++i) {                                                         \
                __asm__ volatile("" : : "x"(LOAD((const void *)(buffer + at + i * REGISTER))));                           \
            }                                                                                                             \
        }                                                                                                                 \
    }

READING(read_sse, "sse2", _mm_load_si128, 16)
READING(read_avx, "avx2", _mm256_load_si256, 32)
READING(read_avx512, "avx512f", _mm512_load_si512, 64)

struct kernel {
    const char *name;
    void (*run)(void);
    double products; /* of one step */
};

static double products_per_second(struct kernel kernel) {
    double best = 1e9;
    for (int i = 0; i < TRIES; ++i) {
        double began = now();
        kernel.run();
        double took = now() - began;
        best = took < best ? took : best;
    }
    return kernel.products * CHAINS * ITERATIONS / best;
}

static double bytes_per_second(void (*read)(const char *, size_t), const char *buffer, size_t bytes) {
    size_t passes = 1 + ((size_t)4 << 20) / bytes;
    double best = 1e9;
    for (int i = 0; i < TRIES / 4; ++i) {
        double began = now();
        for (size_t pass = 0; pass < passes; ++pass) read(buffer, bytes);
        double took = now() - began;
        best = took < best ? took : best;
    }
    return (double)(passes * bytes) / best;
}

/* Half a cache, so that the buffer stays in it; `otherwise` where the system does not say how large the cache is. */
static size_t half(int name, size_t otherwise) {
    long bytes = sysconf(name);
    return (bytes > 0 ? (size_t)bytes : otherwise) / 2 & ~(size_t)511;
}

static int has_avx_vnni(void) { /* asked of the processor itself: not every compiler knows it by name */
    unsigned a, b, c, d;
    return __builtin_cpu_supports("avx2") && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}

int main(void) {
    struct kernel f32 = {"mulps + addps", sse_f32, 4}, i8 = {"pmaddwd + paddd", sse_i16, 8};
    void (*read)(const char *, size_t) = read_sse;
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        f32 = (struct kernel){"256-bit vfmadd", fma_f32, 8};
        i8 = (struct kernel){"256-bit vpmaddwd + vpaddd", avx2_i16, 16};
        read = read_avx;
    }
    if (__builtin_cpu_supports("avx512bw")) i8 = (struct kernel){"512-bit vpmaddwd + vpaddd", avx512_i16, 32};
    if (has_avx_vnni()) i8 = (struct kernel){"256-bit vpdpbusd", avx_vnni_i8, 32};
    if (__builtin_cpu_supports("avx512f")) {
        f32 = (struct kernel){"512-bit vfmadd", avx512_f32, 16};
        read = read_avx512;
    }
    if (__builtin_cpu_supports("avx512vnni")) i8 = (struct kernel){"512-bit vpdpbusd", avx512_vnni_i8, 64};
    size_t memory = (size_t)256 << 20; /* far beyond the last cache's share of one core */
    char *buffer = aligned_alloc(64, memory);
    if (buffer == NULL) {
        fprintf(stderr, "error: no memory for a buffer of %zu bytes\n", memory);
        return 1;
    }
    memset(buffer, 1, memory);
    printf("{\"float_instruction\": \"%s\", \"gflops\": %.1f, ", f32.name, 2e-9 * products_per_second(f32));
    printf("\"integer_instruction\": \"%s\", \"gmacs\": %.1f, ", i8.name, 1e-9 * products_per_second(i8));
    printf("\"l1_gbytes\": %.1f, ", 1e-9 * bytes_per_second(read, buffer, half(_SC_LEVEL1_DCACHE_SIZE, 32768)));
    printf("\"l2_gbytes\": %.1f, ", 1e-9 * bytes_per_second(read, buffer, half(_SC_LEVEL2_CACHE_SIZE, 262144)));
    printf("\"dram_gbytes\": %.1f}\n", 1e-9 * bytes_per_second(read, buffer, memory));
    free(buffer);
    return 0;
}
