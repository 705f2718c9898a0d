/* JSON: what is accepted is written again in the fixed notation, which reads and writes as itself.  And any
 * bytes at all, written as a string, read back: as they were if they are UTF-8, else with U+FFFD.
 *
 * The first byte of the input chooses lax. */

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_event(const struct lm_json_reader *r, enum lm_json_kind kind, struct lm_buf *ret)
{
    static const char *const words[] = {
        [LM_JSON_OBJECT] = "{",    [LM_JSON_OBJECT_END] = "}", [LM_JSON_ARRAY] = "[",
        [LM_JSON_ARRAY_END] = "]", [LM_JSON_TRUE] = "true",    [LM_JSON_FALSE] = "false",
        [LM_JSON_NULL] = "null",
    };
    const bool closing = kind == LM_JSON_OBJECT_END || kind == LM_JSON_ARRAY_END;
    if (!closing)
        lm_json_sep(ret);
    if (kind == LM_JSON_STRING || kind == LM_JSON_KEY)
        lm_json_str(ret, r->text);
    else if (kind == LM_JSON_NUMBER)
        lm_buf_add_str(ret, r->text);
    else
        lm_buf_puts(ret, words[kind]);
    if (kind == LM_JSON_KEY)
        lm_buf_putc(ret, ':');
}

/* The text in fixed notation; false if it is refused. */
static bool rewrite(struct lm_str text, bool lax, struct lm_buf *ret)
{
    struct lm_arena arena = { 0 };
    struct lm_json_reader r;
    lm_json_open(&r, text, "fuzz", &arena);
    r.lax = lax;
    struct lm_err err = { 0 };
    enum lm_json_kind kind = LM_JSON_NULL;
    enum lm_rc rc;
    while ((rc = lm_json_next(&r, &kind, &err)) == LM_OK && kind != LM_JSON_END)
        write_event(&r, kind, ret);
    LM_ASSERT(rc == LM_OK || err.text[0]);
    LM_ASSERT(lm_json_offset(&r) <= text.len);
    lm_arena_release(&arena);
    return rc == LM_OK;
}

static bool skips(struct lm_str text, bool lax)
{
    struct lm_json_reader r;
    lm_json_open(&r, text, "fuzz", NULL);
    r.lax = lax;
    return lm_json_skip(&r, NULL) == LM_OK && lm_json_want(&r, LM_JSON_END, NULL) == LM_OK;
}

static void check_text(struct lm_str text, bool lax)
{
    struct lm_buf once = { 0 }, twice = { 0 };
    const bool accepted = rewrite(text, lax, &once);
    LM_ASSERT(skips(text, lax) == accepted);
    if (accepted) {
        LM_ASSERT(rewrite(lm_buf_str(&once), false, &twice));
        LM_ASSERT(lm_str_eq(lm_buf_str(&once), lm_buf_str(&twice)));
    }
    lm_buf_release(&once);
    lm_buf_release(&twice);
}

static void check_bytes(struct lm_str bytes)
{
    struct lm_buf quoted = { 0 }, again = { 0 };
    lm_json_str(&quoted, bytes);
    struct lm_arena arena = { 0 };
    struct lm_json_reader r;
    lm_json_open(&r, lm_buf_str(&quoted), "bytes", &arena);
    LM_ASSERT(lm_json_want(&r, LM_JSON_STRING, NULL) == LM_OK);
    LM_ASSERT(lm_str_eq(r.text, bytes) || lm_str_find(r.text, LM_STR("\xef\xbf\xbd")) >= 0);
    lm_json_str(&again, r.text);
    LM_ASSERT(lm_str_eq(lm_buf_str(&quoted), lm_buf_str(&again)));
    lm_arena_release(&arena);
    lm_buf_release(&quoted);
    lm_buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const struct lm_str text = { (const char *)data + 1, size - 1 };
    check_text(text, data[0] & 1);
    check_bytes(text);
    return 0;
}
