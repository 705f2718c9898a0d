loom_fuzz(http_request serve EXTERN jansson)
