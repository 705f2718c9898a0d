/* The output filter: the first byte says how the rest is cut into chunks.  However it is cut, the same comes
 * out; it is valid UTF-8 and holds none of the forbidden strings. */

#include "govern/govern.h"
#include "text/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char output_rules[] =
    "output:\n  forbidden: { nightfall: mask, 'fall guy': mask, \"\\u00e4b\": mask }\n"
    "  pii: { email: mask, phone: mask, card: mask, iban: mask }\n"
    "output_identifier_re: '\\b\\d{5}\\b'\n";

static struct lm_policy *make_policy(void)
{
    const struct lm_str text = lm_policy_default_text();
    const ptrdiff_t from = lm_str_find(text, LM_STR("output:\n")),
                    to = lm_str_find(text, LM_STR("messages:\n"));
    struct lm_buf changed = { 0 };
    struct lm_policy *p = NULL;
    lm_buf_add(&changed, text.ptr, (size_t)from);
    lm_buf_puts(&changed, output_rules);
    lm_buf_add(&changed, text.ptr + to, text.len - (size_t)to);
    LM_ASSERT(lm_policy_parse(lm_buf_str(&changed), "fuzz", &p, NULL) == LM_OK);
    lm_buf_release(&changed);
    return p;
}

static enum lm_rc run(const struct lm_policy *p, struct lm_str text, size_t chunk_len, struct lm_buf *ret)
{
    struct lm_output_filter *f = NULL;
    const struct lm_subject subject = { .user = "u", .role = "end-user", .key_state = "active" };
    LM_ASSERT(lm_output_filter_new(p, &subject, &f, NULL) == LM_OK);
    enum lm_rc rc = LM_OK;
    while (rc == LM_OK && text.len) {
        const size_t n = text.len < chunk_len ? text.len : chunk_len;
        rc = lm_output_filter_add(f, (struct lm_str){ text.ptr, n }, ret, NULL);
        text = (struct lm_str){ text.ptr + n, text.len - n };
    }
    if (rc == LM_OK)
        rc = lm_output_filter_end(f, ret, NULL);
    lm_output_filter_free(f);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct lm_policy *p;
    if (!p)
        p = make_policy();
    if (size == 0)
        return 0;
    const struct lm_str text = { (const char *)data + 1, size - 1 };
    struct lm_buf whole = { 0 }, cut = { 0 };
    const enum lm_rc rc = run(p, text, size, &whole), rc_cut = run(p, text, data[0] % 37 + 1, &cut);
    LM_ASSERT(rc == rc_cut);
    LM_ASSERT(rc == LM_OK || rc == LM_EDENIED);
    LM_ASSERT(rc != LM_OK || lm_str_eq(lm_buf_str(&whole), lm_buf_str(&cut)));
    LM_ASSERT(lm_utf8_valid(lm_buf_str(&cut)));
    LM_ASSERT(lm_str_find(lm_buf_str(&cut), LM_STR("nightfall")) < 0);
    lm_buf_release(&whole);
    lm_buf_release(&cut);
    return 0;
}
