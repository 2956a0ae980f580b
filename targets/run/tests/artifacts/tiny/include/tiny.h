/* Two dense layers and a softmax, written by hand in the form of generated code. */
#ifndef TINY_H
#define TINY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TINY_ARENA_SIZE 64u
#define TINY_ARENA_ALIGN 8u

typedef enum tiny_status { TINY_OK = 0, TINY_ARENA_TOO_SMALL = 1 } tiny_status_t;

typedef struct tiny_ctx {
    unsigned char *arena;
} tiny_ctx_t;

tiny_status_t tiny_init(tiny_ctx_t *ctx, void *arena, size_t size);
float *tiny_input0(tiny_ctx_t *ctx);
const float *tiny_output0(const tiny_ctx_t *ctx);
tiny_status_t tiny_run(tiny_ctx_t *ctx);

#ifdef __cplusplus
}
#endif

#endif
