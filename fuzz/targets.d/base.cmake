loom_fuzz(json base)
loom_fuzz(line base)
loom_fuzz(yaml base)
