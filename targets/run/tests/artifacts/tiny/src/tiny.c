#include "tiny.h"
#include "tiny_weights.h"

#include <math.h>

/* The arena: x at 0 (4 floats), h at 16 (8 floats), y at 48 (3 floats). */
static float *tiny_at(const tiny_ctx_t *ctx, size_t offset) { return (float *)(void *)(ctx->arena + offset); }

tiny_status_t tiny_init(tiny_ctx_t *ctx, void *arena, size_t size)
{
    if (size < TINY_ARENA_SIZE) {
        return TINY_ARENA_TOO_SMALL;
    }
    ctx->arena = (unsigned char *)arena;
    return TINY_OK;
}

float *tiny_input0(tiny_ctx_t *ctx) { return tiny_at(ctx, 0); }

const float *tiny_output0(const tiny_ctx_t *ctx) { return tiny_at(ctx, 48); }

/* h[i] = max(0, b1[i] + w1[i,k] * x[k]) */
static void tiny_dense1(const float *x, float *h)
{
    for (int i = 0; i < 8; i++) {
        float sum = tiny_b1[i];
        for (int k = 0; k < 4; k++) {
            sum += tiny_w1[i][k] * x[k];
        }
        h[i] = sum > 0.0f ? sum : 0.0f;
    }
}

/* y[i] = exp(z[i]) / sum(exp(z)), z[i] = b2[i] + w2[i,k] * h[k] */
static void tiny_dense2(const float *h, float *y)
{
    float total = 0.0f;
    for (int i = 0; i < 3; i++) {
        float sum = tiny_b2[i];
        for (int k = 0; k < 8; k++) {
            sum += tiny_w2[i][k] * h[k];
        }
        y[i] = expf(sum);
        total += y[i];
    }
    for (int i = 0; i < 3; i++) {
        y[i] /= total;
    }
}

tiny_status_t tiny_run(tiny_ctx_t *ctx)
{
    tiny_dense1(tiny_at(ctx, 0), tiny_at(ctx, 16));
    tiny_dense2(tiny_at(ctx, 16), tiny_at(ctx, 48));
    return TINY_OK;
}
