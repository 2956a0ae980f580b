
/* Has an instance compute with the weights that begin at `blob`, which must stay there as long as the instance is used, or until others are
 * set; memory-mapped flash does. `size` is what there is of it, WEIGHTS_SIZE at least. All of it is read once, for its checksum. A
 * network with a memory begins anew. After an error, and after @NAME@_init, there are no weights, and @NAME@_run says so.
 *
 * The weights of a network that was trained again are taken if nablac makes this very code of it: WEIGHTS_LAYOUT is a hash of the code. Where
 * the code has numbers that come from the weights, as scales of integers may, other weights are other code, and the status says so. */
@NAME@_status_t @NAME@_set_weights(@NAME@_ctx_t *ctx, const void *blob, size_t size);
