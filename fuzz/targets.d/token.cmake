loom_fuzz(tokenizer token)
loom_fuzz(tokenizer_parts token)
loom_fuzz(token_shard corpus)
loom_fuzz(template token)
