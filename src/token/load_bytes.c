/* token/load_bytes.c - the components of a byte-level tokenizer: GPT-2, Llama 3, Qwen 2, SmolLM. */
#include "token/load.h"

static const struct lm_model_option options[] = {
    { "type", "\"BPE\"" },
    { "dropout", "null 0 0.0" },
    { "unk_token", NULL },
    { "continuing_subword_prefix", "null \"\"" },
    { "end_of_word_suffix", "null \"\"" },
    { "fuse_unk", NULL },
    { "byte_fallback", "false" },
    { "ignore_merges", "false true" },
    { NULL, NULL },
};

static enum lm_rc read_option(struct lm_token_load *l, const char *key, struct lm_str value,
                              struct lm_err *err)
{
    (void)err;
    if (strcmp(key, "ignore_merges") == 0)
        l->t->ignore_merges = lm_str_eq(value, LM_STR("true"));
    return LM_OK;
}

static enum lm_rc read_normalizer(struct lm_token_load *l, const json_t *n, struct lm_err *err)
{
    static const char *const forms[LM_FORM_COUNT] = {
        [LM_FORM_NFC] = "NFC", [LM_FORM_NFD] = "NFD", [LM_FORM_NFKC] = "NFKC", [LM_FORM_NFKD] = "NFKD"
    };
    const json_t *item;
    for (size_t i = 0; !json_is_null(n) && (item = lm_load_item(n, "normalizers", i)); i++) {
        size_t form = 0;
        while (form < LM_FORM_COUNT && !lm_load_is(item, forms[form]))
            form++;
        if (form == LM_FORM_COUNT || l->t->nfc)
            return lm_load_refuse(l, l->t->nfc ? "after another form, normalizer" : "normalizer", item, err);
        l->t->nfc = true;
        l->t->form = (enum lm_normal_form)form;
    }
    return LM_OK;
}

static enum lm_rc read_decoder(struct lm_token_load *l, const json_t *d, struct lm_err *err)
{
    (void)l, (void)d, (void)err;   // it has no option that changes what comes out
    return LM_OK;
}

/* Text that is not in the printable form of bytes stands for itself. */
static bool spell(struct lm_token_load *l, struct lm_str text, struct lm_buf *ret)
{
    (void)l;
    if (lm_text_to_bytes(text, ret))
        return true;
    lm_buf_add_str(ret, text);
    return false;
}

/* ---- bytes ---- */

/* Some byte-level vocabularies leave out control characters and bytes that UTF-8 seldom or never has; one
 * that leaves out more is of another kind. */
static bool may_be_missing(unsigned byte, bool has_unknown)
{
    return !lm_utf8_has(byte) || ((byte < 0x20 || byte >= 0x7f) && byte != '\n' && !has_unknown);
}

static enum lm_rc finish(struct lm_token_load *l, struct lm_err *err)
{
    static const uint8_t replacement[] = { 0xef, 0xbf, 0xbd };
    uint32_t *ids = l->t->bpe.byte_id;
    for (unsigned b = 0; b < 256; b++) {
        const char byte = (char)b;
        ids[b] = lm_load_find(l, (struct lm_str){ &byte, 1 });
        l->t->bytes_missing |= ids[b] == LM_TOKEN_NONE;
        bool needed = !may_be_missing(b, json_is_string(l->unknown));
        for (size_t k = 0; k < sizeof(replacement); k++)
            needed |= b == replacement[k];
        if (ids[b] == LM_TOKEN_NONE && needed)
            return lm_fail(
                err, LM_EFORMAT,
                "%s: no ordinary token for byte 0x%02x; only byte-level vocabularies are supported", l->name,
                b);
    }
    return LM_OK;
}

const struct lm_load_family lm_load_bytes = {
    .id = LM_FAMILY_BYTES,
    .model = "BPE",
    .decoder = "ByteLevel",
    .options = options,
    .has_merges = true,
    .normalizer = read_normalizer,
    .pre_tokenizer = lm_load_splits,
    .decode = read_decoder,
    .option = read_option,
    .spell = spell,
    .finish = finish,
};
