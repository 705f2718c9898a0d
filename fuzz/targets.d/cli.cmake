loom_fuzz(hub cli)
