/* grown.json: what parses leads from the old ids to the new ones without a hole. */
#include "token/grow.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lm_err err = { 0 };
    struct lm_grown g;
    if (lm_grown_parse((struct lm_str){ (const char *)data, size }, "fuzz", &g, &err) != LM_OK) {
        LM_ASSERT(err.text[0] != '\0');
        return 0;
    }
    LM_ASSERT(g.new_size == g.old_size + g.count);
    for (size_t i = 0; i < g.count; i++)
        for (size_t k = 0; k < g.tokens[i].piece_count; k++)
            LM_ASSERT(g.tokens[i].id == g.old_size + i && g.tokens[i].pieces[k] < g.old_size);
    lm_grown_release(&g);
    return 0;
}
