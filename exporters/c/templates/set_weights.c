#if defined(__BYTE_ORDER__) && defined(__ORDER_LITTLE_ENDIAN__)
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the weights have their lowest byte first"
#endif
#endif

/* A number of four bytes, the lowest first. */
static uint32_t @NAME@_blob_word(const uint8_t *at)
{
    return (uint32_t)at[0] | ((uint32_t)at[1] << 8) | ((uint32_t)at[2] << 16) | ((uint32_t)at[3] << 24);
}

/* CRC-32 as zlib, Ethernet and PNG have it, four bits at a time. */
static uint32_t @NAME@_blob_crc(const uint8_t *bytes, size_t count)
{
    static const uint32_t table[16] = {
        0x00000000U, 0x1db71064U, 0x3b6e20c8U, 0x26d930acU, 0x76dc4190U, 0x6b6b51f4U, 0x4db26158U, 0x5005713cU,
        0xedb88320U, 0xf00f9344U, 0xd6d6a3e8U, 0xcb61b38cU, 0x9b64c2b0U, 0x86d3d2d4U, 0xa00ae278U, 0xbdbdf21cU,
    };
    uint32_t crc = 0xffffffffU;
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        crc = (crc >> 4) ^ table[crc & 15U];
        crc = (crc >> 4) ^ table[crc & 15U];
    }
    return ~crc;
}

@NAME@_status_t @NAME@_set_weights(@NAME@_ctx_t *ctx, const void *blob, size_t size)
{
    static const uint8_t magic[4] = {0x4e, 0x41, 0x42, 0x57};
    static const uint8_t layout[16] = {@LAYOUT@};
    const uint8_t *const bytes = (const uint8_t *)blob;
    if (ctx == NULL || ctx->arena == NULL) {
        return @UPPER@_ERROR_ARGUMENT;
    }
    ctx->weights = NULL;
    if (bytes == NULL) {
        return @UPPER@_ERROR_ARGUMENT;
    }
    if ((uintptr_t)bytes % @UPPER@_WEIGHTS_ALIGN != 0U) {
        return @UPPER@_ERROR_ALIGNMENT;
    }
    if (size < 64U) {
        return @UPPER@_ERROR_WEIGHTS_SIZE;
    }
    for (size_t i = 0; i < sizeof magic; i++) {
        if (bytes[i] != magic[i]) {
            return @UPPER@_ERROR_WEIGHTS_MAGIC;
        }
    }
    if (@NAME@_blob_word(bytes + 4) != 1U) {
        return @UPPER@_ERROR_WEIGHTS_FORMAT;
    }
    for (size_t i = 0; i < sizeof layout; i++) {
        if (bytes[16U + i] != layout[i]) {
            return @UPPER@_ERROR_WEIGHTS_LAYOUT;
        }
    }
    if (size < @UPPER@_WEIGHTS_SIZE || @NAME@_blob_word(bytes + 8) != @UPPER@_WEIGHTS_SIZE) {
        return @UPPER@_ERROR_WEIGHTS_SIZE;
    }
    if (@NAME@_blob_word(bytes + 12) != @NAME@_blob_crc(bytes + 16, @UPPER@_WEIGHTS_SIZE - 16U)) {
        return @UPPER@_ERROR_WEIGHTS_CHECKSUM;
    }
    ctx->weights = bytes;
@RESET@
    return @UPPER@_OK;
}

