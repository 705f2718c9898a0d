#include "train/checkpoint_manifest.h"

#include "base/json.h"
#include "base/sys.h"

#include <jansson.h>

static void write_spikes(const struct lm_spikes *p, struct lm_buf *ret)
{
    lm_json_key(ret, "spikes");
    lm_buf_putc(ret, '{');
    lm_json_key_num(ret, "mean", p->mean);
    lm_json_key_num(ret, "variance", p->variance);
    lm_json_key_int(ret, "seen", (int64_t)p->seen);
    lm_json_key(ret, "skipped");   // first, count, first, count ...
    lm_buf_putc(ret, '[');
    for (size_t i = 0; i < p->rollbacks; i++)
        lm_buf_printf(ret, "%s%llu,%llu", i ? "," : "", (unsigned long long)p->skipped[i].first,
                      (unsigned long long)p->skipped[i].count);
    lm_buf_puts(ret, "]}");
}

static void write_best(const struct lm_best *b, struct lm_buf *ret)
{
    lm_json_key(ret, "best");
    lm_buf_putc(ret, '{');
    lm_json_key_int(ret, "step", (int64_t)b->step);
    lm_json_key_num(ret, "loss", b->loss);
    lm_json_key_num(ret, "bits_per_byte", b->bits_per_byte);
    lm_json_key_int(ret, "worse", (int64_t)b->worse);
    lm_json_key_str(ret, "sha256", lm_str(b->sha256));
    lm_buf_putc(ret, '}');
}

void lm_manifest_write(const struct lm_checkpoint_place *place, const struct lm_checkpoint *c,
                       const char *sha256, struct lm_buf *ret)
{
    lm_buf_putc(ret, '{');
    lm_json_key_int(ret, "step", (int64_t)c->step);
    lm_json_key_int(ret, "evaluated", (int64_t)c->evaluated);
    lm_json_key_int(ret, "sampled", (int64_t)c->sampled);
    lm_json_key_num(ret, "loss", c->loss);
    lm_json_key_num(ret, "heldout_loss", c->heldout_loss);
    lm_json_key_num(ret, "heldout_bits_per_byte", c->heldout_bits_per_byte);
    if (c->spikes.seen > 0)
        write_spikes(&c->spikes, ret);
    if (c->best.step > 0)
        write_best(&c->best, ret);
    lm_json_key_str(ret, "recipe", lm_str(place->recipe));
    lm_json_key_str(ret, "isa", lm_str(place->isa));
    lm_json_key_str(ret, "version", lm_str(lm_version));
    lm_json_key_str(ret, "sha256", lm_str(sha256));
    lm_buf_puts(ret, "}\n");
}

static const uint64_t batches_max = 1ull << 56;

/* Whole numbers from 0 on; false for anything else. */
static bool take_count(const json_t *value, uint64_t *ret)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *ret = (uint64_t)json_integer_value(value);
    return true;
}

static bool take_hash(const json_t *value, char ret[LM_SHA256_HEX])
{
    static const size_t digits = LM_SHA256_HEX - 1;
    if (!json_is_string(value) || json_string_length(value) != digits ||
        strspn(json_string_value(value), "0123456789abcdef") != digits)
        return false;
    memcpy(ret, json_string_value(value), LM_SHA256_HEX);
    return true;
}

static bool take_spikes(const json_t *o, struct lm_spikes *ret)
{
    *ret = (struct lm_spikes){ 0 };
    if (!o)
        return true;
    const json_t *skipped = json_object_get(o, "skipped");
    const size_t numbers = json_array_size(skipped);
    if (!take_count(json_object_get(o, "seen"), &ret->seen) || numbers % 2 != 0 ||
        numbers > 2 * LM_ROLLBACKS_MAX)
        return false;
    ret->mean = json_number_value(json_object_get(o, "mean"));
    ret->variance = json_number_value(json_object_get(o, "variance"));
    for (; 2 * ret->rollbacks < numbers; ret->rollbacks++) {
        struct lm_skip *s = &ret->skipped[ret->rollbacks];
        if (!take_count(json_array_get(skipped, 2 * ret->rollbacks), &s->first) ||
            !take_count(json_array_get(skipped, 2 * ret->rollbacks + 1), &s->count))
            return false;
        if (s->first > batches_max || s->count > batches_max)   // so that sums of them are numbers
            return false;
    }
    return true;
}

static bool take_best(const json_t *o, struct lm_best *ret)
{
    *ret = (struct lm_best){ 0 };
    if (!o)
        return true;
    ret->loss = json_number_value(json_object_get(o, "loss"));
    ret->bits_per_byte = json_number_value(json_object_get(o, "bits_per_byte"));
    return take_count(json_object_get(o, "step"), &ret->step) &&
           take_count(json_object_get(o, "worse"), &ret->worse) &&
           take_hash(json_object_get(o, "sha256"), ret->sha256);
}

static enum lm_rc take(const struct lm_checkpoint_place *place, const json_t *o, const char *name,
                       struct lm_checkpoint *c, char ret_sha256[LM_SHA256_HEX], struct lm_err *err)
{
    const char *recipe = json_string_value(json_object_get(o, "recipe"));
    const char *isa = json_string_value(json_object_get(o, "isa"));
    if (!recipe || !isa || !take_hash(json_object_get(o, "sha256"), ret_sha256) ||
        !take_count(json_object_get(o, "step"), &c->step) || c->step == 0 ||
        !take_count(json_object_get(o, "evaluated"), &c->evaluated) ||
        !take_count(json_object_get(o, "sampled"), &c->sampled) || c->evaluated > c->step ||
        c->sampled > c->step || !take_spikes(json_object_get(o, "spikes"), &c->spikes) ||
        !take_best(json_object_get(o, "best"), &c->best))
        return lm_fail(err, LM_EFORMAT, "'%s' is not a checkpoint's manifest", name);
    if (strcmp(recipe, place->recipe) != 0)
        return lm_fail(err, LM_EFORMAT, "'%s' belongs to another configuration", name);
    if (place->steps > 0 && c->step > place->steps)
        return lm_fail(err, LM_EFORMAT, "'%s' says step %llu, of a run of %llu: it was changed", name,
                       (unsigned long long)c->step, (unsigned long long)place->steps);
    if (strcmp(isa, place->isa) != 0)
        lm_warn("'%s' was made with %s kernels; with %s the last bits of the result may differ", name, isa,
                place->isa);
    c->loss = json_number_value(json_object_get(o, "loss"));
    c->heldout_loss = json_number_value(json_object_get(o, "heldout_loss"));
    c->heldout_bits_per_byte = json_number_value(json_object_get(o, "heldout_bits_per_byte"));
    return LM_OK;
}

enum lm_rc lm_manifest_parse(const struct lm_checkpoint_place *place, struct lm_str text, const char *name,
                             struct lm_checkpoint *c, char ret_sha256[LM_SHA256_HEX], struct lm_err *err)
{
    json_t *o = json_loadb(text.len ? text.ptr : "", text.len, 0, NULL);
    if (!o)
        return lm_fail(err, LM_EFORMAT, "'%s' is not JSON", name);
    const enum lm_rc rc = take(place, o, name, c, ret_sha256, err);
    json_decref(o);
    return rc;
}
