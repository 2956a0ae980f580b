/* What a program of Linux finds on a bare computer: the few system calls that a statically linked one makes around a model, on memory
 * that is already filled. All else is answered as by a kernel that does not know it. What the program writes goes out through the
 * parallel port, in records: a byte that says what it is, four that say how long, and the bytes. */
#include "nablac_computer.h"

#include <stddef.h>

enum { READ, WRITE, CLOSE = 3, SEEK = 8, PROTECT = 10, BREAK = 12, EXIT = 60, ARCHITECTURE = 158, EXIT_GROUP = 231, OPEN_AT = 257 };
enum { NO_ENTRY = -2, BAD_FILE = -9, INVALID = -22, TOO_MANY_FILES = -24, UNKNOWN = -38 };
enum { SET_FS = 0x1002, WRITE_ONLY = 1, END = 0, PAGE_BYTES = 6, RANDOM = 25 };
enum { FS_BASE = (int)0xC0000100, STAR = (int)0xC0000081, SYSTEM_ENTRY = (int)0xC0000082, FLAGS_MASK = (int)0xC0000084 };
enum { FAULT_STATUS = 125 };

/* The kinds of records: what the files that are written have above, and text below. */
enum { EXITED, TEXT, OPENED, CALL, COUNT, FILES };

typedef struct __attribute__((packed)) {
    uint16_t limit;
    uint64_t base;
} table_t;

typedef struct {
    uint16_t low, segment;
    uint8_t stack, kind;
    uint16_t middle;
    uint32_t high, zero;
} gate_t;

int nablac_computer(void);
int64_t nablac_system_call(uint64_t a, uint64_t b, uint64_t c, uint64_t number);
void nablac_counted(void);
void nablac_fault(uint32_t vector, const uint64_t *frame);
void nablac_start(uint64_t entry, const void *stack);
void nablac_system_entry(void);
void nablac_step(void);
void nablac_begin(void);
void nablac_end(void);
void nablac_calibrate(void);
extern const unsigned char nablac_fault_entries[];
extern uint64_t nablac_segments[6];

uint64_t nablac_text, nablac_text_bytes, nablac_steps, nablac_stamp, nablac_ticks;
uint32_t nablac_step_flag;

static union {
    nablac_request_t said;
    uint8_t sector[NABLAC_SECTOR];
} first;
static uint64_t overhead;                  /* the ticks of a measured call beside its instructions */
static uint64_t position;                  /* in the input */
static uint64_t brk;
static uint8_t written;                    /* files that were opened to be written */
static uint8_t interrupt_stack[0x4000] __attribute__((aligned(16)));
static uint32_t task[26];
static gate_t gates[NABLAC_END_VECTOR + 1];

static void out(uint16_t port, uint8_t value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }

static uint8_t in(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

/* Fills memory from a sector on; gives the first one behind. */
static uint64_t load(uint64_t sector, uint64_t from, uint64_t to)
{
    enum { BUSY = 0x80, READY = 0x08, ONE_SECTOR = 1, FIRST_DISK = 0xE0, READ_SECTORS = 0x20 };
    for (void *at = (void *)from; (uint64_t)at < to; sector++) {
        uint64_t words = NABLAC_SECTOR / 2;
        out(0x1F2, ONE_SECTOR);
        out(0x1F3, (uint8_t)sector);
        out(0x1F4, (uint8_t)(sector >> 8));
        out(0x1F5, (uint8_t)(sector >> 16));
        out(0x1F6, (uint8_t)(FIRST_DISK | sector >> 24));
        out(0x1F7, READ_SECTORS);
        while ((in(0x1F7) & (BUSY | READY)) != READY) {
        }
        __asm__ volatile("rep insw" : "+D"(at), "+c"(words) : "d"(0x1F0) : "memory");
    }
    return sector;
}

static void send(const void *bytes, uint64_t count)
{
    for (const uint8_t *at = bytes; count > 0; count--, at++) {
        out(0x378, *at);
        out(0x37A, 0x0D);                  /* the strobe, on and off */
        out(0x37A, 0x0C);
    }
}

static void record(uint8_t kind, const void *bytes, uint32_t count)
{
    send(&kind, sizeof kind);
    send(&count, sizeof count);
    send(bytes, count);
}

/* The emulator begins with anything in its memory. */
static void clear(uint64_t from, uint64_t to)
{
    for (volatile uint64_t *at = (volatile uint64_t *)from; (uint64_t)at < to; at++) {
        *at = 0;
    }
}

__attribute__((noreturn)) static void leave(uint32_t status)
{
    const uint32_t *counts = (const uint32_t *)(uintptr_t)NABLAC_COUNTS;
    for (uint64_t at = 0; at < nablac_text_bytes; at++) {
        if (counts[at] != 0) {
            const uint64_t count[2] = {nablac_text + at, counts[at]};
            record(COUNT, count, sizeof count);
        }
    }
    record(EXITED, &status, sizeof status);
    for (const char *letter = "Shutdown"; *letter != '\0'; letter++) {
        out(0x8900, (uint8_t)*letter);     /* which ends the emulator */
    }
    for (;;) {
        __asm__ volatile("hlt");
    }
}

void nablac_fault(uint32_t vector, const uint64_t *frame)
{
    const uint32_t with_code = 1u << 8 | 0x1Fu << 10 | 1u << 17 | 1u << 21;
    char text[] = "processor fault 00 at 0x0000000000000000\n";
    uint64_t address = frame[with_code >> vector & 1u];
    text[16] = (char)('0' + vector / 10);
    text[17] = (char)('0' + vector % 10);
    for (size_t digit = 39; digit >= 24; digit--, address >>= 4) {
        text[digit] = "0123456789abcdef"[address & 15];
    }
    record(TEXT, text, sizeof text - 1);
    leave(FAULT_STATUS);
}

/* After each measured call. Only the first runs in steps; the last step was to what follows it. */
void nablac_counted(void)
{
    if (overhead == 0) {
        overhead = nablac_ticks - 1;       /* of the call of nothing, which is a return */
        return;
    }
    const uint64_t instructions = nablac_step_flag != 0 ? nablac_steps - 1 : nablac_ticks - overhead;
    nablac_step_flag = 0;
    record(CALL, &instructions, sizeof instructions);
}

static int64_t open_at(const char *path, uint64_t flags)
{
    uint32_t length = 0;
    while (path[length] != '\0') {
        length++;
    }
    if ((flags & 3) != WRITE_ONLY) {
        static const char input[] = "input.bin";
        for (size_t at = 0; at < sizeof input; at++) {
            if (path[at] != input[at]) {
                return NO_ENTRY;
            }
        }
        return 3;                          /* behind the three that are open from the start; written ones follow */
    }
    if (written > UINT8_MAX - FILES - 1) {
        return TOO_MANY_FILES;
    }
    record(OPENED, path, length);
    return 4 + written++;
}

static int64_t read(uint64_t file, uint8_t *to, uint64_t count)
{
    if (file != 3) {
        return BAD_FILE;
    }
    const uint8_t *input = (const uint8_t *)(uintptr_t)NABLAC_INPUT;
    const uint64_t left = first.said.input_bytes - position;
    const uint64_t taken = count < left ? count : left;
    for (uint64_t at = 0; at < taken; at++) {
        to[at] = input[position + at];
    }
    position += taken;
    return (int64_t)taken;
}

static int64_t write(uint64_t file, const void *from, uint64_t count)
{
    if (file == 0 || file == 3 || file >= 4u + written || count > UINT32_MAX) {
        return BAD_FILE;
    }
    record(file < 4 ? TEXT : (uint8_t)(FILES + file - 4), from, (uint32_t)count);
    return (int64_t)count;
}

static int64_t seek(uint64_t file, int64_t by, uint64_t from)
{
    const uint64_t origin[3] = {0, position, first.said.input_bytes};
    if (file != 3 || from > 2) {
        return file == 3 ? INVALID : BAD_FILE;
    }
    const uint64_t to = origin[from] + (uint64_t)by;
    if (to > first.said.input_bytes) {
        return INVALID;
    }
    position = to;
    return (int64_t)to;
}

static void set_register(int number, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(number), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

int64_t nablac_system_call(uint64_t a, uint64_t b, uint64_t c, uint64_t number)
{
    switch (number) {
    case READ: return read(a, (uint8_t *)b, c);
    case WRITE: return write(a, (const void *)b, c);
    case SEEK: return seek(a, (int64_t)b, c);
    case OPEN_AT: return open_at((const char *)b, c);
    case CLOSE:
    case PROTECT: return 0;
    case BREAK:
        if (a >= first.said.end && a <= NABLAC_HEAP_END) {
            clear(brk & ~7ull, a);
            brk = a;
        }
        return (int64_t)brk;
    case ARCHITECTURE:
        if (a != SET_FS) {
            return INVALID;
        }
        set_register(FS_BASE, b);
        return 0;
    case EXIT:
    case EXIT_GROUP: leave((uint32_t)a);
    default: return UNKNOWN;
    }
}

/* Interrupts take a stack of their own: what is below the program's may be in use. */
static void set_gate(size_t vector, uint64_t address)
{
    gates[vector] = (gate_t){
        .low = (uint16_t)address,
        .segment = NABLAC_CODE_64,
        .stack = 1,
        .kind = 0x8E,
        .middle = (uint16_t)(address >> 16),
        .high = (uint32_t)(address >> 32),
    };
}

static void set_tables(void)
{
    const uint64_t base = (uint64_t)task, top = (uint64_t)(interrupt_stack + sizeof interrupt_stack);
    task[9] = (uint32_t)top;               /* the first of the interrupts' stacks */
    task[25] = sizeof task << 16;          /* no map of ports */
    nablac_segments[4] = 0x0000890000000000 | (base & 0xFFFFFF) << 16 | (base >> 24 & 0xFF) << 56 | (sizeof task - 1);
    nablac_segments[5] = base >> 32;
    for (size_t vector = 0; vector < 32; vector++) {
        set_gate(vector, (uint64_t)(nablac_fault_entries + 16 * vector));
    }
    set_gate(1, (uint64_t)nablac_step);
    set_gate(NABLAC_BEGIN_VECTOR, (uint64_t)nablac_begin);
    set_gate(NABLAC_END_VECTOR, (uint64_t)nablac_end);
    const table_t table = {sizeof gates - 1, (uint64_t)gates};
    __asm__ volatile("lidt %0\n\tltr %w1" : : "m"(table), "r"(NABLAC_TASK));
    set_register(STAR, (uint64_t)NABLAC_CODE_64 << 32);
    set_register(SYSTEM_ENTRY, (uint64_t)nablac_system_entry);
    set_register(FLAGS_MASK, 0x700);       /* no steps, no interrupts, upwards */
}

int nablac_computer(void)
{
    static const uint64_t random[2] = {0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9};
    static const char name[] = "program.elf";
    set_tables();
    nablac_calibrate();
    out(0x3F6, 2);                         /* the disk is asked, and interrupts nobody */
    uint64_t sector = load(0, (uint64_t)first.sector, (uint64_t)first.sector + sizeof first.sector);
    sector = load(sector, first.said.base, first.said.end);
    (void)load(sector, NABLAC_INPUT, NABLAC_INPUT + first.said.input_bytes);
    nablac_text = first.said.text;
    nablac_text_bytes = first.said.text_end - first.said.text;
    clear(NABLAC_COUNTS, NABLAC_COUNTS + nablac_text_bytes * sizeof(uint32_t));
    brk = first.said.end;
    nablac_step_flag = 0x100;
    /* One argument, no environment, and what the kernel tells the C library. */
    uint64_t *stack = (uint64_t *)NABLAC_STACK_TOP;
    const uint64_t start[] = {1, (uint64_t)name, 0, 0, PAGE_BYTES, 4096, RANDOM, (uint64_t)random, END, 0};
    for (size_t at = 0; at < sizeof start / sizeof *start; at++) {
        stack[at] = start[at];
    }
    nablac_start(first.said.entry, stack);
    return 0;
}
