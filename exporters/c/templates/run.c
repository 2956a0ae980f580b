@NAME@_status_t @NAME@_run(@NAME@_ctx_t *ctx)
{
    if (ctx == NULL || ctx->arena == NULL) {
        return @UPPER@_ERROR_ARGUMENT;
    }
