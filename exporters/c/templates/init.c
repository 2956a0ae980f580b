@NAME@_status_t @NAME@_init(@NAME@_ctx_t *ctx, void *arena, size_t size)
{
    if (ctx == NULL || arena == NULL) {
        return @UPPER@_ERROR_ARGUMENT;
    }
@CHECK_SIZE@
    if ((uintptr_t)arena % @UPPER@_ARENA_ALIGN != 0U) {
        return @UPPER@_ERROR_ALIGNMENT;
    }
    ctx->arena = (uint8_t *)arena;
@POOL@
@INPUTS@
@RESET@
    return @UPPER@_OK;
}

