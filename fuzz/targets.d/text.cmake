loom_fuzz(charset text)
loom_fuzz(html text)
loom_fuzz(pii text)
