/* The harness on a bare Cortex-M: files through semihosting calls, the vector table, and what a reset and a fault do. */
#include "nablac_harness.h"

enum {
    SYS_OPEN = 0x01,
    SYS_CLOSE = 0x02,
    SYS_WRITE0 = 0x04,
    SYS_WRITE = 0x05,
    SYS_READ = 0x06,
    SYS_SEEK = 0x0A,
    SYS_EXIT_EXTENDED = 0x20
};
enum { READ_BINARY = 1, WRITE_BINARY = 5 };        /* the modes of fopen, by position: "rb" and "wb" */
#define APPLICATION_EXIT 0x20026u                  /* the reason for which SYS_EXIT_EXTENDED takes a status */

#define CONFIGURATION_CONTROL (*(volatile uint32_t *)0xE000ED14u)
#define TRAP_UNALIGNED (1u << 3)
#define CONFIGURABLE_FAULT_STATUS (*(volatile uint32_t *)0xE000ED28u)
#define UNALIGNED_FAULT (1u << 24)
#define HARD_FAULT_STATUS (*(volatile uint32_t *)0xE000ED2Cu)
#define COPROCESSOR_ACCESS (*(volatile uint32_t *)0xE000ED88u)
#define FLOAT_UNIT_ACCESS (0xFu << 20)

extern uint32_t nablac_stack_top[];
int main(void);
void nablac_reset(void);
void nablac_fault(void);
void nablac_fault_at(uint32_t *stacked);

static int32_t semihosting(uint32_t operation, const void *argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return (int32_t)r0;
}

static uint32_t word(const void *pointer) { return (uint32_t)(uintptr_t)pointer; }

int nablac_open(const char *path, int writing)
{
    uint32_t length = 0;
    while (path[length] != '\0') {
        length++;
    }
    const uint32_t block[3] = {word(path), writing ? WRITE_BINARY : READ_BINARY, length};
    return (int)semihosting(SYS_OPEN, block);
}

int nablac_read(int file, void *bytes, size_t count)
{
    const uint32_t block[3] = {(uint32_t)file, word(bytes), count};
    return count != 0 && semihosting(SYS_READ, block) != 0;
}

int nablac_write(int file, const void *bytes, size_t count)
{
    const uint32_t block[3] = {(uint32_t)file, word(bytes), count};
    return count != 0 && semihosting(SYS_WRITE, block) != 0;
}

int nablac_seek(int file, size_t position)
{
    const uint32_t block[2] = {(uint32_t)file, position};
    return (int)semihosting(SYS_SEEK, block);
}

int nablac_close(int file)
{
    const uint32_t block[1] = {(uint32_t)file};
    return (int)semihosting(SYS_CLOSE, block);
}

uint64_t nablac_nanoseconds(void) { return 0; }

void nablac_print(const char *text) { (void)semihosting(SYS_WRITE0, text); }

static void leave(uint32_t status)
{
    const uint32_t block[2] = {APPLICATION_EXIT, status};
    (void)semihosting(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}

static void print_hexadecimal(uint32_t value)
{
    char text[] = "0x00000000";
    for (size_t digit = 9; digit >= 2; digit--) {
        text[digit] = "0123456789abcdef"[value & 15u];
        value >>= 4;
    }
    nablac_print(text);
}

enum { STACKED_PC = 6 };

#ifdef NABLAC_TRAP_UNALIGNED
static volatile uint32_t is_expected;              /* whether an unaligned access is being tried */

/* The processor knows unaligned accesses and the machine that it stands for does not: they are to fail. Whether they do is
 * tried, since an emulator may take the setting and ignore it. */
static void trap_unaligned(void)
{
    static const uint32_t words[2];
    uint32_t value = word(words) + 1u;
    CONFIGURATION_CONTROL |= TRAP_UNALIGNED;
    is_expected = 1;
    __asm__ volatile("dsb\n\tisb\n\tldr %0, [%0]" : "+l"(value) : : "memory");
    if (is_expected != 0u) {
        leave(NABLAC_UNALIGNED_PASSES_STATUS);
    }
}
#endif

void nablac_fault_at(uint32_t *stacked)
{
    const uint32_t status = CONFIGURABLE_FAULT_STATUS;
#ifdef NABLAC_TRAP_UNALIGNED
    if (is_expected != 0u) {
        is_expected = 0;
        CONFIGURABLE_FAULT_STATUS = status;        /* writing ones clears them */
        HARD_FAULT_STATUS = HARD_FAULT_STATUS;
        stacked[STACKED_PC] += 2u;                 /* behind the load, which has 16 bits */
        return;
    }
#endif
    nablac_print("processor fault: CFSR ");
    print_hexadecimal(status);
    nablac_print(", HFSR ");
    print_hexadecimal(HARD_FAULT_STATUS);
    nablac_print(", PC ");
    print_hexadecimal(stacked[STACKED_PC]);
    nablac_print("\n");
    leave((status & UNALIGNED_FAULT) != 0u ? NABLAC_UNALIGNED_STATUS : NABLAC_FAULT_STATUS);
}

void nablac_reset(void)
{
#if defined(__ARM_FP)
    COPROCESSOR_ACCESS |= FLOAT_UNIT_ACCESS;       /* scalars and vectors alike */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
#ifdef NABLAC_TRAP_UNALIGNED
    trap_unaligned();
#endif
    /* The emulator loads initialized variables in place and starts with all memory zero: nothing to copy or to clear. */
    leave((uint32_t)main());
}

typedef union {
    const void *stack;
    void (*handler)(void);
} vector_t;

extern const vector_t nablac_vectors[16];
__attribute__((section(".vectors"), used)) const vector_t nablac_vectors[16] = {
    {.stack = nablac_stack_top},
    {.handler = nablac_reset},
    {.handler = nablac_fault},  /* NMI */
    {.handler = nablac_fault},  /* HardFault */
    {.handler = nablac_fault},  /* MemManage */
    {.handler = nablac_fault},  /* BusFault */
    {.handler = nablac_fault},  /* UsageFault */
    {.handler = nablac_fault},  /* SecureFault */
    {.handler = NULL},
    {.handler = NULL},
    {.handler = NULL},
    {.handler = nablac_fault},  /* SVCall */
    {.handler = nablac_fault},  /* DebugMonitor */
    {.handler = NULL},
    {.handler = nablac_fault},  /* PendSV */
    {.handler = nablac_fault},  /* SysTick */
};
