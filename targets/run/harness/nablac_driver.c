/* Runs every sample of `input.bin` through the model @NAME@ and writes what comes out, and what it took. */
#include "@NAME@.h"
@POOL_HEADER@
@WEIGHTS_HEADER@
#include "nablac_harness.h"

#define ARENA_BYTES ((size_t)@NAME_UPPER@_ARENA_SIZE)

/* Bytes on both sides of the arena that no run may change. A sanitizer sees more without them: what is read there, too. */
#define NABLAC_GUARD 64 /* a multiple of every arena's alignment */
#if defined(__SANITIZE_ADDRESS__)
#undef NABLAC_GUARD
#define NABLAC_GUARD 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#undef NABLAC_GUARD
#define NABLAC_GUARD 0
#endif
#endif
#define GUARD_BYTES ((size_t)NABLAC_GUARD)
#define MEMORY_BYTES (GUARD_BYTES + ARENA_BYTES + GUARD_BYTES)

static unsigned char memory[MEMORY_BYTES > 0 ? MEMORY_BYTES : 1] __attribute__((aligned(@NAME_UPPER@_ARENA_ALIGN)));
static unsigned char *const arena = memory + GUARD_BYTES;
static const size_t guard_bytes = GUARD_BYTES;
static @NAME@_ctx_t context;
@POOL@

/* A loop of its own: a call of the C library's would pull that into the program. */
__attribute__((unused)) static inline void nablac_copy(unsigned char *to, const unsigned char *from, size_t bytes)
{
    for (size_t position = 0; position < bytes; position++) {
        to[position] = from[position];
    }
}

@KEPT@

#ifdef NABLAC_EMULATED
@NAME@_status_t nablac_measured_call(@NAME@_ctx_t *measured);
#else
#define nablac_measured_call @NAME@_run
#endif

static uint64_t deepest_stack;
static uint64_t shortest = UINT64_MAX;

/* Digits by subtraction: where a division is a call of the C library, the harness would pull that into the program. */
static void complain(const char *what, uint32_t number)
{
    static const uint32_t powers[10] = {1000000000u, 100000000u, 10000000u, 1000000u, 100000u, 10000u, 1000u, 100u, 10u, 1u};
    char digits[11];
    size_t length = 0;
    for (size_t power = 0; power < 10u; power++) {
        char digit = '0';
        while (number >= powers[power]) {
            number -= powers[power];
            digit++;
        }
        if (digit != '0' || length > 0u || power == 9u) {
            digits[length++] = digit;
        }
    }
    digits[length] = '\0';
    nablac_print(what);
    nablac_print(digits);
    nablac_print("\n");
}

/* No two neighbours are alike, so that no fill and no copy leaves them as they are. */
static unsigned char guard_byte(size_t position) { return (unsigned char)((165u + 7u * position) & 255u); }

static void set_guards(void)
{
    for (size_t i = 0; i < guard_bytes; i++) {
        memory[i] = guard_byte(i);
        arena[ARENA_BYTES + i] = guard_byte(i);
    }
}

static int check_guards(void)
{
    uint32_t before = 0;
    uint32_t behind = 0;
    for (size_t i = 0; i < guard_bytes; i++) {
        before += memory[i] != guard_byte(i) ? 1u : 0u;
        behind += arena[ARENA_BYTES + i] != guard_byte(i) ? 1u : 0u;
    }
    if (before != 0u) {
        complain("@NAME@ wrote in front of its arena; bytes that changed: ", before);
    }
    if (behind != 0u) {
        complain("@NAME@ wrote behind its arena; bytes that changed: ", behind);
    }
    return before != 0u || behind != 0u;
}

static int read_inputs(int file)
{
    int failed = 0;
@READ_INPUTS@
    if (failed != 0) {
        nablac_print("input.bin is too short\n");
    }
    return failed;
}

static int write_outputs(int file)
{
    int failed = 0;
@WRITE_OUTPUTS@
    if (failed != 0) {
        nablac_print("cannot write output.bin\n");
    }
    return failed;
}

/* An inference that starts from a fresh context is independent of all others, whatever state a model keeps. */
static int infer(int input, int fresh)
{
    @NAME@_status_t status = fresh ? @NAME@_init(&context, arena, ARENA_BYTES) : @NAME_UPPER@_OK;
    if (status != @NAME_UPPER@_OK) {
        complain("@NAME@_init returned ", (uint32_t)status);
        return 1;
    }
@SET_WEIGHTS@
@SET_POOL@
    if (read_inputs(input) != 0) {
        return 1;
    }
    const uint64_t start = nablac_nanoseconds();
    status = nablac_measured_call(&context);
    const uint64_t taken = nablac_nanoseconds() - start;
    if (nablac_stack_bytes == NABLAC_STACK_OVERFLOW) {
        return NABLAC_STACK_OVERFLOW_STATUS; /* the outputs may be wrong, and so may the status */
    }
    if (check_guards() != 0) {
        return 1;
    }
    if (status != @NAME_UPPER@_OK) {
        complain("@NAME@_run returned ", (uint32_t)status);
        return 1;
    }
    shortest = taken < shortest ? taken : shortest;
    deepest_stack = nablac_stack_bytes > deepest_stack ? nablac_stack_bytes : deepest_stack;
    return 0;
}

static int run(int input, int output)
{
    uint32_t header[3]; /* samples, milliseconds to repeat the first one, whether samples follow each other in time */
    if (nablac_read(input, header, sizeof header) != 0) {
        nablac_print("input.bin has no header\n");
        return 1;
    }
    int failed = 0;
    for (uint32_t sample = 0; sample < header[0] && failed == 0; sample++) {
        failed = infer(input, header[2] == 0 || sample == 0);
        if (failed == 0) {
            failed = write_outputs(output);
        }
        if (failed != 0) {
            complain("while running sample ", sample);
        }
    }
#ifndef NABLAC_EMULATED
    const uint64_t wanted = (uint64_t)header[1] * 1000000u;
    const uint64_t start = nablac_nanoseconds();
    for (uint32_t repeat = 0; wanted > 0 && failed == 0 && nablac_nanoseconds() - start < wanted; repeat++) {
        failed = nablac_seek(input, sizeof header);
        if (failed == 0) {
            failed = infer(input, 1);
        }
        if (failed != 0) {
            complain("while repeating, time ", repeat);
        }
    }
#endif
    return failed;
}

int main(void)
{
    const int input = nablac_open("input.bin", 0);
    const int output = nablac_open("output.bin", 1);
    const int report = nablac_open("report.bin", 1);
    if (input < 0 || output < 0 || report < 0) {
        nablac_print("cannot open input.bin, output.bin or report.bin\n");
        return 1;
    }
    set_guards();
@START_POOL@
    int failed = run(input, output);
@STOP_POOL@
    if (failed != 0) {
        return failed;
    }
    const uint64_t figures[4] = {sizeof(@NAME@_ctx_t), ARENA_BYTES, deepest_stack, shortest};
    failed |= nablac_write(report, figures, sizeof figures);
    failed |= nablac_close(input);
    failed |= nablac_close(output);
    failed |= nablac_close(report);
    return failed != 0;
}
