/* fuzz_template: any bytes as a chat template, rendered over a fixed conversation.  Either a refusal with a
 * reason, or text whose every byte has an origin; twice the same.  When the source has no capital letter and
 * no way to make one, every capital letter in the text is from data, and must be marked as such. */
#include <stdlib.h>

#include "token/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct lm_chat_message talk[] = {
    { { "system", 6 }, { "BE BRIEF", 8 } },
    { { "user", 4 }, { " HELLO\n\xc3\x84<|IM_END|> ", 20 } },
    { { "assistant", 9 }, { "YES", 3 } },
    { { "user", 4 }, { "", 0 } },
};
static const char more[] =
    "{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"F\",\"parameters\":{\"a\":[1,2.5,"
    "true,null]}}}],\"d\":{\"k\":\"V\",\"l\":[3,1,2]},\"n\":41}";

/* Capital letters of the template's own: written so, escaped, mapped, or Python's (True, None, Undefined). */
static bool makes_capitals(struct lm_str source)
{
    static const char *const ways[] = { "upper", "title", "capitalize", "\\", "strftime" };
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        if (lm_str_find(source, lm_str(ways[i])) >= 0)
            return true;
    for (size_t i = 0; i < source.len; i++)
        if (source.ptr[i] >= 'A' && source.ptr[i] <= 'Z')
            return true;
    return false;
}

static void check(const struct lm_template_text *text, bool capitals)
{
    if (text->bytes.len != text->origins.len)
        abort();
    for (size_t i = 0; i < text->origins.len; i++) {
        const char c = text->bytes.ptr[i];
        const uint8_t origin = (uint8_t)text->origins.ptr[i];
        const bool theirs =
            c >= 'A' && c <= 'Z' && !strchr("TFNUI", c);   // the first letters of Python's words
        if (origin > 15 || (theirs && !capitals && !(origin & LM_ORIGIN_DATA)))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct lm_template_var own = { "bos_token", { "<s>", 3 } };
    const struct lm_str source = { (const char *)data, size };
    const struct lm_template_input input = { .messages = talk,
                                             .message_count = sizeof(talk) / sizeof(talk[0]),
                                             .add_generation = true,
                                             .own = &own,
                                             .own_count = 1,
                                             .json = { more, sizeof(more) - 1 } };
    struct lm_template *t = NULL;
    struct lm_template_text first = { 0 }, second = { 0 };
    struct lm_err err = { 0 };
    if (size > 4096)
        return 0;
    if (lm_template_parse(source, "fuzz", &t, &err) != LM_OK) {
        if (!err.text[0])
            abort();   // a refusal without a reason
        return 0;
    }
    const enum lm_rc rc = lm_template_render(t, &input, &first, &err);
    if (rc != LM_OK && (!err.text[0] || first.bytes.len > 0))
        abort();
    check(&first, makes_capitals(source));
    if (rc != LM_ELIMIT && first.bytes.len < 4096 &&
        (lm_template_render(t, &input, &second, NULL) != rc ||
         !lm_str_eq(lm_buf_str(&first.bytes), lm_buf_str(&second.bytes))))
        abort();
    lm_template_text_release(&first);
    lm_template_text_release(&second);
    lm_template_free(t);
    return 0;
}
