loom_bench(train train)
loom_bench(private train)
