loom_fuzz(pairs train)
loom_fuzz(adapter train)
