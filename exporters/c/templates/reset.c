void @NAME@_reset(@NAME@_ctx_t *ctx)
{
    if (ctx == NULL || ctx->arena == NULL@UNSET@) {
        return;
    }
@LINES@
}

