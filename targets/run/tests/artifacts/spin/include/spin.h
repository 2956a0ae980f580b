/* A loop whose every instruction is known: spin_run takes 2 n + 5 of them (5 outside the loop) and 8 bytes of stack for an input of n. */
#ifndef SPIN_H
#define SPIN_H

#include <stddef.h>
#include <stdint.h>

#define SPIN_ARENA_SIZE 0u
#define SPIN_ARENA_ALIGN 4u

typedef enum spin_status { SPIN_OK = 0, SPIN_REFUSED = 7 } spin_status_t;

typedef struct spin_ctx {
    uint32_t rounds;
    uint32_t echo;
} spin_ctx_t;

spin_status_t spin_init(spin_ctx_t *ctx, void *arena, size_t size);
uint32_t *spin_input0(spin_ctx_t *ctx);
const uint32_t *spin_output0(const spin_ctx_t *ctx);
spin_status_t spin_run(spin_ctx_t *ctx);

#endif
