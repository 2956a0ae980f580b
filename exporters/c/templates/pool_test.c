    static @NAME@_pool_t pool;
    report_check(&report, "no pool", @NAME@_pool_start(NULL, 1) == @UPPER@_ERROR_ARGUMENT);
    report_check(&report, "too many threads", @NAME@_pool_start(&pool, @UPPER@_THREADS + 1) == @UPPER@_ERROR_ARGUMENT);
    for (int32_t threads = 1; threads <= @UPPER@_THREADS; threads++) {
        report_check(&report, "threads", @NAME@_pool_start(&pool, threads) == @UPPER@_OK);
        report_check(&report, "pool", @NAME@_set_pool(&ctx, &pool) == @UPPER@_OK);
        for (size_t vector = 0; vector < @UPPER@_VECTORS; vector++) {
            check_vector(&report, &ctx, arena, vector);
        }
        @NAME@_pool_stop(&pool);
    }
    report_check(&report, "without a pool", @NAME@_set_pool(&ctx, NULL) == @UPPER@_OK);
