#include "train/window.h"

enum lm_rc lm_window_spec_check(struct lm_window_spec spec, struct lm_err *err)
{
    if (spec.size == 0)
        return lm_fail(err, LM_EINVAL, "window: size must be at least 1");
    if (spec.stride == 0 || spec.stride > spec.size)
        return lm_fail(err, LM_EINVAL, "window: stride %zu is outside 1..%zu", spec.stride, spec.size);
    return LM_OK;
}

size_t lm_window_count(struct lm_window_spec spec, size_t token_count)
{
    LM_ASSERT(spec.stride > 0);
    LM_ASSERT(spec.stride <= spec.size);

    if (token_count == 0)
        return 0;
    if (token_count <= spec.size)
        return 1;
    /* 1 + ceil((token_count - size) / stride); no overflow, because stride <= size. */
    return 1 + (token_count - spec.size + spec.stride - 1) / spec.stride;
}

struct lm_window lm_window_get(struct lm_window_spec spec, const uint32_t *tokens, size_t token_count,
                               size_t index)
{
    LM_ASSERT(index < lm_window_count(spec, token_count));

    const size_t start = index * spec.stride;   // below token_count, by the line above
    const size_t left = token_count - start;
    const struct lm_window w = {
        .tokens = tokens + start,
        .len = left < spec.size ? left : spec.size,
        .fresh = index == 0 ? 0 : spec.size - spec.stride,
    };
    LM_ASSERT(w.fresh < w.len);   // every window adds a token
    return w;
}
