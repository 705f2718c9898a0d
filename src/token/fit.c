/* token/fit.c - truncation and padding: lengths only. */
#include "token/tokenizer.h"

enum lm_rc lm_fit_check(struct lm_fit fit, struct lm_err *err)
{
    if (fit.length_max == 0)
        return lm_fail(err, LM_EINVAL, "truncation: a part must have room for 1 token at least");
    if (fit.stride >= fit.length_max)
        return lm_fail(err, LM_EINVAL, "truncation: parts of %zu tokens cannot share %zu; at most %zu",
                       fit.length_max, fit.stride, fit.length_max - 1);
    return LM_OK;
}

size_t lm_fit_count(struct lm_fit fit, size_t ids)
{
    LM_ASSERT(fit.length_max > fit.stride);
    const size_t step = fit.length_max - fit.stride;
    return ids <= fit.length_max ? 1 : 1 + (ids - fit.length_max + step - 1) / step;
}

struct lm_span lm_fit_part(struct lm_fit fit, size_t ids, size_t index)
{
    LM_ASSERT(index < lm_fit_count(fit, ids));
    const size_t gone = index * (fit.length_max - fit.stride), left = ids - gone;
    const size_t len = left < fit.length_max ? left : fit.length_max;
    return fit.from_end ? (struct lm_span){ left - len, left } : (struct lm_span){ gone, gone + len };
}

size_t lm_pad_length(size_t ids, size_t length, size_t multiple)
{
    const size_t want = ids > length ? ids : length;
    const size_t over = multiple ? want % multiple : 0;
    LM_ASSERT(over == 0 || want <= SIZE_MAX - multiple);
    return over ? want + multiple - over : want;
}
