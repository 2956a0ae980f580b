static size_t differing_@DTYPE@(const @TYPE@ *found, const @TYPE@ *expected, size_t count)
{
    size_t differing = 0;
    for (size_t i = 0; i < count; i++) {
        if (found[i] != expected[i]) {
            differing++;
        }
    }
    return differing;
}

