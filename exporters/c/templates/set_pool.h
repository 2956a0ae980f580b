
/* Loops run on the threads of a pool from now on; on the caller's alone with NULL, as from @NAME@_init on. Outputs are the same,
 * bit by bit. */
@NAME@_status_t @NAME@_set_pool(@NAME@_ctx_t *ctx, @NAME@_pool_t *pool);
