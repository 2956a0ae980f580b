#include "spin.h"

spin_status_t spin_init(spin_ctx_t *ctx, void *arena, size_t size)
{
    (void)arena;
    ctx->rounds = 0u;
    ctx->echo = 0u;
    return size == SPIN_ARENA_SIZE ? SPIN_OK : SPIN_REFUSED;
}

uint32_t *spin_input0(spin_ctx_t *ctx) { return &ctx->rounds; }

const uint32_t *spin_output0(const spin_ctx_t *ctx) { return &ctx->echo; }
