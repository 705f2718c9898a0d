loom_fuzz(hf_config model)
loom_fuzz(safetensors model)
