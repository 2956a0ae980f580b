/* The harness on a hosted system: plain files and the monotonic clock, which means nothing where the processor is emulated. */
#define _POSIX_C_SOURCE 199309L

#include "nablac_harness.h"

#include <stdio.h>
#include <time.h>

#define FILES 4

static FILE *files[FILES];
static int opened;

uint32_t nablac_stack_bytes; /* set by the call, where that measures it */

int nablac_open(const char *path, int writing)
{
    FILE *file = opened < FILES ? fopen(path, writing ? "wb" : "rb") : NULL;
    if (file == NULL) {
        return -1;
    }
    files[opened] = file;
    return opened++;
}

int nablac_read(int file, void *bytes, size_t count) { return fread(bytes, 1, count, files[file]) != count; }

int nablac_write(int file, const void *bytes, size_t count) { return fwrite(bytes, 1, count, files[file]) != count; }

int nablac_seek(int file, size_t position) { return fseek(files[file], (long)position, SEEK_SET); }

int nablac_close(int file) { return fclose(files[file]); }

#ifdef NABLAC_EMULATED
uint64_t nablac_nanoseconds(void) { return 0; }
#else
uint64_t nablac_nanoseconds(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
        return 0;
    }
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
#endif

void nablac_print(const char *text) { (void)fputs(text, stderr); }
