loom_fuzz(pairs train)
loom_fuzz(adapter train)
loom_fuzz(trials train)
loom_fuzz(tfevents train)
