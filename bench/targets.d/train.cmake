loom_bench(train train)
