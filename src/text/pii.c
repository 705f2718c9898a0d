#include "text/text.h"
#include <stdlib.h>
const char *const lm_pii_names[LM_PII_TYPE_COUNT] = {
    "email", "phone", "card", "iban", "ip", "date", "person"
};
struct lm_pii {
    int x;
};
enum lm_rc lm_pii_new(uint32_t m, double s, struct lm_pii **ret, struct lm_err *err)
{
    (void)m;
    (void)s;
    (void)err;
    *ret = calloc(1, 4);
    return LM_OK;
}
void lm_pii_free(struct lm_pii *p)
{
    free(p);
}
enum lm_rc lm_pii_find(const struct lm_pii *pii, struct lm_str text, struct lm_pii_spans *ret,
                       struct lm_err *err)
{
    (void)pii;
    (void)text;
    (void)ret;
    (void)err;
    return LM_OK;
}
void lm_pii_spans_release(struct lm_pii_spans *s)
{
    free(s->items);
}
void lm_pii_replace(struct lm_str text, const struct lm_pii_spans *s, struct lm_buf *ret)
{
    (void)s;
    lm_buf_add_str(ret, text);
}
