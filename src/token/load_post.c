/* token/load_post.c - post_processor of tokenizer.json: the special tokens around a text.
 *
 * Only what goes around one text matters here, and whether ranges leave out blanks; how two texts are joined
 * does not. */
#include "token/load.h"

static enum lm_rc add_id(struct lm_token_load *l, const json_t *id, uint32_t *side, size_t *count,
                         struct lm_err *err)
{
    const json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
    const struct lm_vocab *v = &l->t->vocab;
    if (value < 0 || (size_t)value >= v->size || v->items[value].kind == LM_TOKEN_HOLE)
        return lm_fail(err, LM_EFORMAT, "%s: post_processor: id %lld is not in the vocabulary", l->name,
                       (long long)value);
    if (*count == LM_AROUND_MAX)
        return lm_fail(err, LM_ELIMIT,
                       "%s: post_processor: more than %d special tokens on one side of a text", l->name,
                       LM_AROUND_MAX);
    side[(*count)++] = (uint32_t)value;
    return LM_OK;
}

/* {"single":[{"SpecialToken":{"id":"[CLS]",..}},{"Sequence":{..}},..],"special_tokens":{"[CLS]":{"ids":[101]}}}
 */
static enum lm_rc read_template(struct lm_token_load *l, const json_t *p, struct lm_err *err)
{
    struct lm_around *around = &l->t->around;
    const json_t *single = json_object_get(p, "single"), *known = json_object_get(p, "special_tokens");
    bool text_seen = false;
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *item = json_array_get(single, i), *special = json_object_get(item, "SpecialToken");
        if (json_object_get(item, "Sequence") && !text_seen) {
            text_seen = true;
            continue;
        }
        const char *name = json_string_value(json_object_get(special, "id"));
        const json_t *ids = name ? json_object_get(json_object_get(known, name), "ids") : NULL;
        if (!json_is_array(ids))
            return lm_fail(err, LM_EFORMAT,
                           "%s: post_processor TemplateProcessing: item %zu of 'single' is "
                           "neither the text nor a token of 'special_tokens'",
                           l->name, i);
        for (size_t k = 0; k < json_array_size(ids); k++)
            LM_TRY(text_seen ? add_id(l, json_array_get(ids, k), around->after, &around->after_count, err)
                             : add_id(l, json_array_get(ids, k), around->before, &around->before_count, err));
    }
    if (!text_seen)
        return lm_fail(err, LM_EFORMAT, "%s: post_processor TemplateProcessing: 'single' leaves the text out",
                       l->name);
    return LM_OK;
}

static enum lm_rc read_offsets(struct lm_token_load *l, const json_t *p, struct lm_err *err)
{
    struct lm_tokenizer *t = l->t;
    const bool keeps = !json_is_false(json_object_get(p, "add_prefix_space"));
    if (json_is_false(json_object_get(p, "trim_offsets")))
        return LM_OK;
    if (t->trim_count == LM_TRIMS_MAX)
        return lm_fail(err, LM_ELIMIT, "%s: post_processor: more than %d components trim offsets", l->name,
                       LM_TRIMS_MAX);
    t->trims[t->trim_count++] = !keeps            ? LM_TRIM_ALL
                                : l->cls_is_first ? LM_TRIM_BUT_START
                                                  : LM_TRIM_BUT_FIRST;
    return LM_OK;
}

/* {"sep":["</s>",2],"cls":["<s>",0]} */
static enum lm_rc read_pair(struct lm_token_load *l, const json_t *p, struct lm_err *err)
{
    struct lm_around *around = &l->t->around;
    l->cls_is_first = true;   // a template's tokens stay apart from the text
    LM_TRY(
        add_id(l, json_array_get(json_object_get(p, "cls"), 1), around->before, &around->before_count, err));
    return add_id(l, json_array_get(json_object_get(p, "sep"), 1), around->after, &around->after_count, err);
}

static enum lm_rc read_roberta(struct lm_token_load *l, const json_t *p, struct lm_err *err)
{
    LM_TRY(read_offsets(l, p, err));
    return read_pair(l, p, err);
}

/* To add a processor: a reader and a row. */
static const struct {
    const char *type;
    enum lm_rc (*read)(struct lm_token_load *l, const json_t *p, struct lm_err *err);
    bool adds;   // tokens around a text
} processors[] = {
    { "ByteLevel", read_offsets, false },
    { "TemplateProcessing", read_template, true },
    { "BertProcessing", read_pair, true },
    { "RobertaProcessing", read_roberta, true },
};

static enum lm_rc read_one(struct lm_token_load *l, const json_t *p, struct lm_err *err)
{
    const struct lm_around *around = &l->t->around;
    const size_t before = around->before_count + around->after_count;
    size_t i = 0;
    while (i < sizeof(processors) / sizeof(processors[0]) && !lm_load_is(p, processors[i].type))
        i++;
    if (i == sizeof(processors) / sizeof(processors[0]))
        return lm_load_refuse(l, "post_processor", p, err);
    LM_TRY(processors[i].read(l, p, err));
    if (before > 0 && processors[i].adds)
        return lm_fail(
            err, LM_EFORMAT,
            "%s: post_processor Sequence: '%s' adds tokens to those that another component has added, "
            "which is not supported",
            l->name, processors[i].type);
    return LM_OK;
}

enum lm_rc lm_load_post_processor(struct lm_token_load *l, struct lm_str json, struct lm_err *err)
{
    LM_TREE_FREE json_t *p = NULL;
    LM_TRY(lm_load_part(l, "post_processor", json, &p, err));
    if (json_is_null(p))
        return LM_OK;
    const json_t *list = json_object_get(p, "processors");
    if (!lm_load_is(p, "Sequence") || !json_is_array(list))
        return read_one(l, p, err);
    for (size_t i = 0; i < json_array_size(list); i++)
        LM_TRY(read_one(l, json_array_get(list, i), err));
    return LM_OK;
}
