#include "govern/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum lm_rc lm_pattern_compile(struct lm_pattern *ret, struct lm_str source, bool ignore_case,
                              const char *where, struct lm_err *err)
{
    int code_number = 0;
    PCRE2_SIZE offset = 0;
    const uint32_t options =
        PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | (ignore_case ? PCRE2_CASELESS : 0);
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)source.ptr, source.len, options, &code_number, &offset, NULL);
    if (!code) {
        char reason[128] = "";
        pcre2_get_error_message(code_number, (PCRE2_UCHAR *)reason, sizeof(reason));
        return lm_fail(err, LM_EFORMAT, "%s: the pattern breaks off at character %zu: %s", where,
                       (size_t)offset, reason);
    }
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);   // without it, it is only slower
    *ret = (struct lm_pattern){ code, source };
    return LM_OK;
}

void lm_pattern_release(struct lm_pattern *p)
{
    pcre2_code_free(p->code);
    *p = (struct lm_pattern){ 0 };
}

static struct lm_str first_group(struct lm_str text, const PCRE2_SIZE *ends, int count)
{
    for (int i = 1; i < count; i++)
        if (ends[2 * i] != PCRE2_UNSET && ends[2 * i + 1] > ends[2 * i])
            return (struct lm_str){ text.ptr + ends[2 * i], ends[2 * i + 1] - ends[2 * i] };
    return (struct lm_str){ text.ptr + ends[0], ends[1] - ends[0] };
}

enum lm_match lm_pattern_find(const struct lm_pattern *p, struct lm_str text, size_t from,
                              struct lm_match_span *ret)
{
    LM_ASSERT(from <= text.len);

    if (!p->code)
        return LM_MATCH_NONE;
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(p->code, NULL);
    enum lm_match result = LM_MATCH_LIMIT;
    if (context && data) {
        pcre2_set_match_limit(context, LM_MATCH_STEPS_MAX);
        pcre2_set_depth_limit(context, LM_MATCH_STEPS_MAX);
        const int count = pcre2_match(p->code, (PCRE2_SPTR)text.ptr, text.len, from,
                                      PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, data, context);
        const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(data);
        if (count > 0 && ends[0] < ends[1] && ends[0] >= from) {   // \K can turn a match around
            *ret = (struct lm_match_span){ ends[0], ends[1], first_group(text, ends, count) };
            result = LM_MATCH_FOUND;
        } else if (count == PCRE2_ERROR_NOMATCH) {
            result = LM_MATCH_NONE;
        }
    }
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    return result;
}

enum lm_match lm_pattern_test(const struct lm_pattern *p, struct lm_str text)
{
    struct lm_match_span span;
    return lm_pattern_find(p, text, 0, &span);
}
