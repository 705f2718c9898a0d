loom_fuzz(pairs train)
