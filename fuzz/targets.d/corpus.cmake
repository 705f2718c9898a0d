loom_fuzz(document corpus)
