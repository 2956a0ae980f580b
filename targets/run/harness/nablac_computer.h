/* Where things are on the bare computer, as the measurement lays it out, and what it says about the program. */
#ifndef NABLAC_COMPUTER_H
#define NABLAC_COMPUTER_H

#define NABLAC_SYSTEM_BASE   0x00200000    /* what is below is not mapped: a null pointer is a fault */
#define NABLAC_HEAP_END      0x1F000000    /* the program begins at 4 MiB, and its heap behind it */
#define NABLAC_STACK_TOP     0x1FF00000
#define NABLAC_COUNTS        0x20000000    /* for each byte of the program's instructions, how often it began one */
#define NABLAC_INPUT         0x30000000
#define NABLAC_MEMORY_END    0x40000000

#define NABLAC_CODE_64       0x08          /* segments */
#define NABLAC_DATA          0x10
#define NABLAC_CODE_32       0x18
#define NABLAC_TASK          0x20

#define NABLAC_BEGIN_VECTOR  0x40          /* interrupts around the measured call */
#define NABLAC_END_VECTOR    0x41

#ifndef __ASSEMBLER__
#include <stdint.h>

#define NABLAC_SECTOR        512

/* The first sector of the disk. Behind it are the program's memory and the one file that can be read, each from a sector on. */
typedef struct {
    uint64_t base, end;                    /* where the program's memory is, of whole sectors */
    uint64_t entry;
    uint64_t text, text_end;               /* its instructions */
    uint64_t input_bytes;
} nablac_request_t;
#endif

#endif
