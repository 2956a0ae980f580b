/* What the driver needs of the machine it runs on: files, a clock, a line of text for a person. No C library. */
#ifndef NABLAC_HARNESS_H
#define NABLAC_HARNESS_H

#include <stddef.h>
#include <stdint.h>

int nablac_open(const char *path, int writing);                    /* negative if it cannot be opened */
int nablac_read(int file, void *bytes, size_t count);              /* nonzero if it got fewer */
int nablac_write(int file, const void *bytes, size_t count);       /* nonzero if it wrote fewer */
int nablac_seek(int file, size_t position);
int nablac_close(int file);
uint64_t nablac_nanoseconds(void);                                 /* always 0 where time means nothing */
void nablac_print(const char *text);

extern uint32_t nablac_stack_bytes;                                /* of the last measured call; 0 if not measured */
#define NABLAC_STACK_OVERFLOW UINT32_MAX                           /* what it is if the call took all there was */

/* How the program ends, other than by the driver's 0 and 1. */
#define NABLAC_STACK_OVERFLOW_STATUS 126
#define NABLAC_FAULT_STATUS 125
#define NABLAC_UNALIGNED_STATUS 124                                /* a fault because of an unaligned access */
#define NABLAC_UNALIGNED_PASSES_STATUS 123                         /* such an access passes, and should not */

#endif
