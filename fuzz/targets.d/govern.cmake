loom_fuzz(audit govern)
loom_fuzz(filter govern)
loom_fuzz(policy govern)
