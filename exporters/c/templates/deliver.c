/* Delivers a row of input @K@ of the golden vector whose number is at `user`. */
static int deliver_input@K@(void *user, int32_t row, void *into)
{
    const size_t rows = @UPPER@_INPUT@K@_ROWS;
    @T@ *to = (@T@ *)into;
    const @T@ *values = @NAME@_vectors_input@K@[*(const size_t *)user];
    for (size_t piece = 0; piece < @PIECES@U; piece++) {
        memcpy(&to[piece * @ELEMENTS@U], &values[(piece * rows + (size_t)row) * @ELEMENTS@U], @ELEMENTS@U * sizeof(@T@));
    }
    return 0;
}

