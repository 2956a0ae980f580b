
/* The network has a memory: what it has seen goes from each run to the next. @NAME@_init begins anew, and so does this,
 * without a change of anything else: call it where a sequence ends. */
void @NAME@_reset(@NAME@_ctx_t *ctx);
