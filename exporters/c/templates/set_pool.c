@NAME@_status_t @NAME@_set_pool(@NAME@_ctx_t *ctx, @NAME@_pool_t *pool)
{
    if (ctx == NULL || ctx->arena == NULL) {
        return @UPPER@_ERROR_ARGUMENT;
    }
    ctx->pool = pool;
    return @UPPER@_OK;
}

