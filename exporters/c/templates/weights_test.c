/* What @NAME@_set_weights says of weights that are not those of this code. */
static void check_weights(report_t *report, @NAME@_ctx_t *ctx)
{
    uint8_t space[64U + @UPPER@_WEIGHTS_ALIGN];
    uint8_t *const header = space + (@UPPER@_WEIGHTS_ALIGN - (uintptr_t)space % @UPPER@_WEIGHTS_ALIGN);
    const uint8_t *const weights = (const uint8_t *)(const void *)@NAME@_weights;
    static const struct {
        const char *what;
        size_t position;
        @NAME@_status_t status;
    } cases[3] = {
        {"no weights at all", 0, @UPPER@_ERROR_WEIGHTS_MAGIC},
        {"weights of another format", 4, @UPPER@_ERROR_WEIGHTS_FORMAT},
        {"weights for another code", 16, @UPPER@_ERROR_WEIGHTS_LAYOUT},
    };
    report_check(report, "no weights", @NAME@_run(ctx) == @UPPER@_ERROR_WEIGHTS);
    for (size_t i = 0; i < 3U; i++) {
        memcpy(header, weights, 64U);
        header[cases[i].position] = (uint8_t)(header[cases[i].position] ^ 1U);
        report_check(report, cases[i].what, @NAME@_set_weights(ctx, header, 64U) == cases[i].status);
    }
    report_check(report, "a part of the weights",
                 @NAME@_set_weights(ctx, weights, @UPPER@_WEIGHTS_SIZE - 1U) == @UPPER@_ERROR_WEIGHTS_SIZE);
    report_check(report, "misaligned weights",
                 @NAME@_set_weights(ctx, weights + 1, @UPPER@_WEIGHTS_SIZE) == @UPPER@_ERROR_ALIGNMENT);
    report_check(report, "weights", @NAME@_set_weights(ctx, weights, @UPPER@_WEIGHTS_SIZE) == @UPPER@_OK);
}

