/* token/load_chain_decode.c - decoders of a chain by their names. */
#include "token/load_chain_steps.h"

static struct lm_chain_decode *add_decode(struct lm_step_reading *r, enum lm_chain_decode_kind kind)
{
    struct lm_chain *c = r->c;
    lm_grow(&c->decodes, &c->decode_cap, c->decode_count + 1, sizeof(*c->decodes));
    c->decodes[c->decode_count] = (struct lm_chain_decode){ .kind = kind };
    return &c->decodes[c->decode_count++];
}

static enum lm_rc decode_bytes(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    (void)c, (void)err;
    add_decode(r, LM_DECODE_BYTES);
    return LM_OK;
}

static enum lm_rc decode_fuse(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    (void)c, (void)err;
    add_decode(r, LM_DECODE_FUSE);
    return LM_OK;
}

static enum lm_rc decode_fallback(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    (void)c, (void)err;
    add_decode(r, LM_DECODE_FALLBACK);
    return LM_OK;
}

static enum lm_rc decode_words(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_decode *d = add_decode(r, LM_DECODE_WORDPIECE);
    d->cleanup = lm_step_flag(c, "cleanup", true);
    return lm_step_text(r, c, "prefix", &d->content) ? LM_OK : lm_step_refuse(r, c, "prefix", err);
}

static enum lm_rc decode_metaspace(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_decode *d = add_decode(r, LM_DECODE_METASPACE);
    enum lm_blank_prefix scheme;
    if (!lm_step_character(r, c, "replacement", &d->content))
        return lm_step_refuse(r, c, "replacement", err);
    if (!lm_step_scheme(c, &scheme))
        return lm_step_refuse(r, c, "prepend_scheme", err);
    d->strip = scheme != LM_BLANK_NEVER;
    return LM_OK;
}

static enum lm_rc decode_suffix(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_decode *d = add_decode(r, LM_DECODE_SUFFIX);
    return lm_step_text(r, c, "suffix", &d->content) && d->content.len > 0
               ? LM_OK
               : lm_step_refuse(r, c, "suffix", err);
}

static enum lm_rc decode_ctc(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_decode *d = add_decode(r, LM_DECODE_CTC);
    d->cleanup = lm_step_flag(c, "cleanup", true);
    if (!lm_step_text(r, c, "pad_token", &d->content) || d->content.len == 0)
        return lm_step_refuse(r, c, "pad_token", err);
    return lm_step_text(r, c, "word_delimiter_token", &d->other) && d->other.len > 0
               ? LM_OK
               : lm_step_refuse(r, c, "word_delimiter_token", err);
}

static enum lm_rc decode_replace(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_decode *d = add_decode(r, LM_DECODE_REPLACE);
    if (!lm_step_text(r, c, "content", &d->content))
        return lm_step_refuse(r, c, "content", err);
    return lm_step_pattern(r, c, &d->pattern, err);
}

static enum lm_rc decode_strip(struct lm_step_reading *r, const json_t *c, struct lm_err *err)
{
    struct lm_chain_decode *d = add_decode(r, LM_DECODE_STRIP);
    if (!lm_step_character(r, c, "content", &d->content))
        return lm_step_refuse(r, c, "content", err);
    return lm_step_size(c, "start", &d->start) && lm_step_size(c, "stop", &d->stop)
               ? LM_OK
               : lm_step_refuse(r, c, "start", err);
}

static const struct lm_step_reader decoders[] = {
    { "ByteLevel", decode_bytes }, { "Fuse", decode_fuse },           { "ByteFallback", decode_fallback },
    { "WordPiece", decode_words }, { "Metaspace", decode_metaspace }, { "BPEDecoder", decode_suffix },
    { "CTC", decode_ctc },         { "Replace", decode_replace },     { "Strip", decode_strip },
};

enum lm_rc lm_load_chain_decoder(struct lm_token_load *l, const json_t *d, struct lm_err *err)
{
    struct lm_step_reading r = { l, l->t->chain, "decoder", "decoders" };
    r.c->no_decoder = json_is_null(d);
    return lm_step_sequence(&r, decoders, sizeof(decoders) / sizeof(*decoders), d, err);
}
