loom_fuzz(segment review)
