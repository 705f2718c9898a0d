#include "train/feed.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

/* Number of the source, source_count when the shard has none of that name. */
static uint32_t source_of(const struct lm_shard *shard, struct lm_str name)
{
    const char *at = shard->names;
    uint32_t number = 0;
    while (number < shard->source_count && !lm_str_eq(lm_str(at), name)) {
        at = lm_shard_next_name(at);
        number++;
    }
    return number;
}

static enum lm_rc fail_unknown(const struct lm_shard *shard, const char *item, struct lm_err *err)
{
    enum { NAMED_MAX = 10 };
    struct lm_buf names = { 0 };
    const char *name = shard->names;
    for (uint32_t i = 0; i < shard->source_count && i < NAMED_MAX; i++, name = lm_shard_next_name(name))
        lm_buf_printf(&names, "%s%s", i ? ", " : "", name);
    if (shard->source_count > NAMED_MAX)
        lm_buf_printf(&names, " and %u more", shard->source_count - NAMED_MAX);
    const enum lm_rc rc = lm_fail(err, LM_EINVAL, "mix '%s': the shard has no such source; it has %s", item,
                                  names.len ? names.ptr : "none");
    lm_buf_release(&names);
    return rc;
}

static enum lm_rc parse_item(const char *item, const struct lm_shard *shard, double *shares,
                             struct lm_err *err)
{
    const char *equals = strrchr(item, '=');
    char *end = NULL;
    const double weight = equals ? strtod(equals + 1, &end) : 0;
    if (!equals || end == equals + 1 || *end || !isfinite(weight) || weight < 0)
        return lm_fail(err, LM_EINVAL, "mix '%s' is not SOURCE=NUMBER with a number of 0 or more", item);
    const uint32_t source = source_of(shard, (struct lm_str){ item, (size_t)(equals - item) });
    if (source == shard->source_count)
        return fail_unknown(shard, item, err);
    if (shares[source] >= 0)
        return lm_fail(err, LM_EINVAL, "mix '%s': the source has a weight already", item);
    shares[source] = weight;
    return LM_OK;
}

static enum lm_rc make_shares(const struct lm_opt_list *items, const struct lm_shard *shard, double *shares,
                              struct lm_err *err)
{
    double sum = 0;
    for (uint32_t i = 0; i < shard->source_count; i++)
        shares[i] = -1;   // no weight yet
    for (size_t i = 0; i < items->len; i++)
        LM_TRY(parse_item(items->items[i], shard, shares, err));
    const char *name = shard->names;
    for (uint32_t i = 0; i < shard->source_count; i++, name = lm_shard_next_name(name)) {
        if (shares[i] < 0)
            return lm_fail(err, LM_EINVAL, "mix: the source %s has no weight; add %s=NUMBER, 0 leaves it out",
                           name, name);
        sum += shares[i];
    }
    if (!(sum > 0) || !isfinite(sum))
        return lm_fail(err, LM_EINVAL, "mix: the weights add up to %g; nothing could be read", sum);
    for (uint32_t i = 0; i < shard->source_count; i++)
        shares[i] /= sum;
    return LM_OK;
}

enum lm_rc lm_mix_parse(const struct lm_opt_list *items, const struct lm_shard *shard, struct lm_mix *ret,
                        struct lm_err *err)
{
    *ret = (struct lm_mix){ 0 };
    if (items->len == 0)
        return LM_OK;
    ret->shares = lm_zalloc(shard->source_count + 1, sizeof *ret->shares);
    const enum lm_rc rc = make_shares(items, shard, ret->shares, err);
    if (rc != LM_OK)
        lm_mix_release(ret);
    return rc;
}

void lm_mix_release(struct lm_mix *mix)
{
    free(mix->shares);
    *mix = (struct lm_mix){ 0 };
}
