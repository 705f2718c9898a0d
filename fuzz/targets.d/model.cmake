loom_fuzz(gguf model)
loom_fuzz(hf_config model)
loom_fuzz(model model)
loom_fuzz(safetensors model)
