static size_t differing_@DTYPE@(const @TYPE@ *found, const @TYPE@ *expected, size_t count)
{
    @TYPE@ low = @ZERO@;
    @TYPE@ high = @ZERO@;
    size_t finite = 0;
    size_t differing = 0;
    for (size_t i = 0; i < count; i++) {
        if (expected[i] - expected[i] == @ZERO@) { /* neither infinite nor no number */
            low = finite == 0U || expected[i] < low ? expected[i] : low;
            high = finite == 0U || expected[i] > high ? expected[i] : high;
            finite++;
        }
    }
    const @TYPE@ tolerance = @SMALL@ * (high - low > @ONE@ ? high - low : @ONE@);
    for (size_t i = 0; i < count; i++) {
        const int equal = found[i] == expected[i] || (found[i] != found[i] && expected[i] != expected[i]);
        if (!equal && !(@FABS@(found[i] - expected[i]) <= tolerance)) {
            differing++;
        }
    }
    return differing;
}

