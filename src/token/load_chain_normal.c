/* token/load_chain_normal.c - normalisers of a chain by their names. */
#include "token/load_chain_steps.h"

#include "base/base64.h"

static struct lm_chain_normal *add_normal(struct lm_step_reading *r, enum lm_chain_normal_kind kind)
{
    struct lm_chain *c = r->c;
    lm_grow(&c->normals, &c->normal_cap, c->normal_count + 1, sizeof(*c->normals));
    c->normals[c->normal_count] = (struct lm_chain_normal){ .kind = kind };
    return &c->normals[c->normal_count++];
}

static enum lm_rc read_form(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    static const char *const forms[LM_FORM_COUNT] = {
        [LM_FORM_NFC] = "NFC", [LM_FORM_NFD] = "NFD", [LM_FORM_NFKC] = "NFKC", [LM_FORM_NFKD] = "NFKD"
    };
    (void)err;
    size_t form = 0;
    while (form + 1 < LM_FORM_COUNT && !lm_load_is(c, forms[form]))
        form++;
    add_normal(r, LM_NORMAL_FORM)->form = (enum lm_normal_form)form;
    return LM_OK;
}

static enum lm_rc read_bert(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_word_rules *rules = &add_normal(r, LM_NORMAL_BERT)->rules;
    (void)err;
    rules->clean = lm_step_flag(c, "clean_text", true);
    rules->han_apart = lm_step_flag(c, "handle_chinese_chars", true);
    rules->lowercase = lm_step_flag(c, "lowercase", true);
    rules->strip_accents = lm_step_flag(c, "strip_accents", rules->lowercase);
    return LM_OK;
}

static enum lm_rc read_lowercase(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    (void)c, (void)err;
    add_normal(r, LM_NORMAL_BERT)->rules.lowercase = true;
    return LM_OK;
}

static enum lm_rc read_strip(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_normal *n = add_normal(r, LM_NORMAL_STRIP);
    (void)err;
    n->left = lm_step_flag(c, "strip_left", true);
    n->right = lm_step_flag(c, "strip_right", true);
    return LM_OK;
}

static enum lm_rc read_accents(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    (void)c, (void)err;
    add_normal(r, LM_NORMAL_ACCENTS);
    return LM_OK;
}

static enum lm_rc read_nmt(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    (void)c, (void)err;
    add_normal(r, LM_NORMAL_NMT);
    return LM_OK;
}

static enum lm_rc read_bytes_normal(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    (void)c, (void)err;
    add_normal(r, LM_NORMAL_BYTES);
    return LM_OK;
}

static enum lm_rc read_prepend(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_normal *n = add_normal(r, LM_NORMAL_PREPEND);
    return lm_step_text(r, c, "prepend", &n->content) ? LM_OK : lm_step_refuse(r, c, "prepend", err);
}

static enum lm_rc read_replace(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_normal *n = add_normal(r, LM_NORMAL_REPLACE);
    if (!lm_step_text(r, c, "content", &n->content))
        return lm_step_refuse(r, c, "content", err);
    return lm_step_pattern(r, c, &n->pattern, err);
}

static enum lm_rc read_precompiled(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    const json_t *text = json_object_get(c, "precompiled_charsmap");
    struct lm_chain_normal *n = add_normal(r, LM_NORMAL_CHARSMAP);
    struct lm_buf blob = { 0 };
    if (!json_is_string(text) ||
        !lm_base64_get((struct lm_str){ json_string_value(text), json_string_length(text) }, &blob)) {
        lm_buf_release(&blob);
        return lm_step_refuse(r, c, "precompiled_charsmap", err);
    }
    const enum lm_rc rc = lm_charsmap_load(lm_buf_str(&blob), &n->map, err);
    lm_buf_release(&blob);
    if (rc != LM_OK)
        lm_err_prefix(err, rc, "%s: %s Precompiled", r->l->name, r->part);
    return rc;
}

static const struct lm_step_reader normalizers[] = {
    { "NFC", read_form },
    { "NFD", read_form },
    { "NFKC", read_form },
    { "NFKD", read_form },
    { "BertNormalizer", read_bert },
    { "Lowercase", read_lowercase },
    { "Strip", read_strip },
    { "StripAccents", read_accents },
    { "Nmt", read_nmt },
    { "ByteLevel", read_bytes_normal },
    { "Prepend", read_prepend },
    { "Replace", read_replace },
    { "Precompiled", read_precompiled },
};

enum lm_rc lm_load_chain_normalizer(struct lm_token_load *l, const json_t *n, struct lm_err *err)
{
    struct lm_step_reading r = { l, l->t->chain, "normalizer", "normalizers" };
    return lm_step_sequence(&r, normalizers, sizeof(normalizers) / sizeof(*normalizers), n, err);
}
