loom_bench(infer infer)
