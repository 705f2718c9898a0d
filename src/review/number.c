/* review/number.c - numbers for people to read. */

#include "review/number.h"

#include "base/err.h"

#include <inttypes.h>
#include <math.h>

void lm_number_add(struct lm_buf *ret, double value, int decimals)
{
    LM_ASSERT(decimals >= 0 && decimals <= 6);
    int64_t unit = 1;
    for (int i = 0; i < decimals; i++)
        unit *= 10;
    if (!isfinite(value) || fabs(value) > 1e12) {
        lm_buf_puts(ret, isfinite(value) ? "> 1e12" : "n/a");
        return;
    }
    const int64_t scaled = llround(fabs(value) * (double)unit);
    lm_buf_printf(ret, "%s%" PRId64, value < 0 && scaled > 0 ? "-" : "", scaled / unit);
    if (decimals > 0)
        lm_buf_printf(ret, ".%0*" PRId64, decimals, scaled % unit);
}

void lm_number_add_count(struct lm_buf *ret, uint64_t count)
{
    if (count < 1000) {
        lm_buf_printf(ret, "%" PRIu64, count);
        return;
    }
    lm_number_add_count(ret, count / 1000);
    lm_buf_printf(ret, ",%03" PRIu64, count % 1000);
}
