/*
 * The self-test: integers must be equal; floats may differ by 1e-5 of the larger of 1 and the range of what is expected.
 */
#include "@NAME@_selftest.h"

#include "@NAME@.h"
@POOL_HEADER@
#include "@NAME@_vectors.h"
@WEIGHTS_HEADER@

@INCLUDES@

/* Bytes on both sides of the arena. No run may change them. */
#define GUARD_BYTES ((size_t)64)

typedef struct {
    void (*print)(const char *line, void *user);
    void *user;
    int failures;
} report_t;

/* Appends to a line of 80 characters. */
static size_t append(char *line, size_t length, const char *text)
{
    while (*text != '\0' && length < 79U) {
        line[length] = *text;
        length++;
        text++;
    }
    line[length] = '\0';
    return length;
}

static size_t append_number(char *line, size_t length, size_t number)
{
    char digits[24];
    size_t at = sizeof digits - 1U;
    digits[at] = '\0';
    do {
        at--;
        digits[at] = (char)('0' + (int)(number % 10U));
        number /= 10U;
    } while (number != 0U);
    return append(line, length, &digits[at]);
}

/* One line: `what`, which one, and how many of its elements differ. */
static void report_differences(report_t *report, size_t vector, const char *what, size_t differing, size_t count)
{
    char line[80];
    size_t length = append(line, 0U, "@NAME@: vector ");
    length = append_number(line, length, vector);
    length = append(line, length, what);
    length = append_number(line, length, differing);
    length = append(line, length, " of ");
    length = append_number(line, length, count);
    (void)append(line, length, " elements differ");
    if (differing != 0U) {
        report->failures++;
    }
    if (report->print != NULL) {
        report->print(line, report->user);
    }
}

static void report_check(report_t *report, const char *what, int holds)
{
    char line[80];
    size_t length = append(line, 0U, "@NAME@: ");
    length = append(line, length, what);
    (void)append(line, length, holds != 0 ? ": ok" : ": FAILED");
    if (holds == 0) {
        report->failures++;
    }
    if (report->print != NULL) {
        report->print(line, report->user);
    }
}

/* What a guard's byte holds: no two neighbours are alike, so that no fill and no copy leaves them as they are. */
static uint8_t guard_byte(size_t position)
{
    return (uint8_t)((165U + 7U * position) & 255U);
}

static void set_guards(uint8_t *arena)
{
    for (size_t i = 0; i < GUARD_BYTES; i++) {
        *(arena + i - GUARD_BYTES) = guard_byte(i);
        arena[@UPPER@_ARENA_SIZE + i] = guard_byte(i);
    }
}

static int guard_holds(const uint8_t *guard)
{
    int holds = 1;
    for (size_t i = 0; i < GUARD_BYTES; i++) {
        holds = guard[i] == guard_byte(i) ? holds : 0;
    }
    return holds;
}

@COMPARISONS@static void check_arguments(report_t *report, @NAME@_ctx_t *ctx, uint8_t *arena)
{
    report_check(report, "no context", @NAME@_init(NULL, arena, @UPPER@_ARENA_SIZE) == @UPPER@_ERROR_ARGUMENT);
    report_check(report, "no arena", @NAME@_init(ctx, NULL, @UPPER@_ARENA_SIZE) == @UPPER@_ERROR_ARGUMENT);
@CHECK_ARENA@}

@DELIVER@
@CHECK_WEIGHTS@static void check_vector(report_t *report, @NAME@_ctx_t *ctx, const uint8_t *arena, size_t vector)
{
@RESET@@COPIES@    report_check(report, "run", @NAME@_run(ctx) == @UPPER@_OK);
@CHECKS@    report_check(report, "nothing written in front of the arena", guard_holds(arena - GUARD_BYTES));
    report_check(report, "nothing written behind the arena", guard_holds(arena + @UPPER@_ARENA_SIZE));
}

int @NAME@_selftest(void (*print)(const char *line, void *user), void *user)
{
    static uint64_t memory[(@UPPER@_ARENA_SIZE + 2U * GUARD_BYTES) / 8U + 1U];
    uint8_t *const arena = (uint8_t *)(void *)memory + GUARD_BYTES;
    report_t report;
    @NAME@_ctx_t ctx;
    report.print = print;
    report.user = user;
    report.failures = 0;
    set_guards(arena);
    check_arguments(&report, &ctx, arena);
    report_check(&report, "init", @NAME@_init(&ctx, arena, @UPPER@_ARENA_SIZE) == @UPPER@_OK);
@SET_WEIGHTS@
@POOL@
    for (size_t vector = 0; vector < @UPPER@_VECTORS; vector++) {
        check_vector(&report, &ctx, arena, vector);
    }
    return report.failures;
}
