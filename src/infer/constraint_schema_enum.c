/* infer/constraint_schema_enum.c - `enum` and `const`: values written one way, without blanks. */
#include "base/mem.h"
#include "infer/constraint_number.h"
#include "infer/constraint_schema.h"
#include "infer/constraint_vocab.h"
#include "infer/constraint_words.h"

#include <stdlib.h>

static bool is_in(const struct lm_tree *value, const struct lm_tree *list)
{
    for (const struct lm_tree *at = list->first; at; at = at->next)
        if (lm_tree_equal(at, value))
            return true;
    return false;
}

static size_t characters(struct lm_str utf8)
{
    size_t count = 0;
    for (size_t i = 0; i < utf8.len; i++)
        count += ((uint8_t)utf8.ptr[i] & 0xc0) != 0x80;
    return count;
}

/* Is it within what numbers and strings are held to beside their enum? */
static bool fits(struct lm_schema *s, const struct lm_schema_view *v, const struct lm_tree *value)
{
    struct lm_number_bounds b;
    lm_decimal number;
    if (value->kind == LM_JSON_STRING) {
        const size_t len = characters(value->text);
        return len >= lm_schema_size_most(s, &v->slots[LM_SLOT_MIN_LENGTH], 0) &&
               len <= lm_schema_size_least(s, &v->slots[LM_SLOT_MAX_LENGTH], UINT32_MAX);
    }
    if (value->kind != LM_JSON_NUMBER || !lm_schema_bounds(s, v, &b) ||
        !lm_decimal_read(value->text, &number))
        return true;
    return (!b.has_low || number > b.low || (number == b.low && !b.low_open)) &&
           (!b.has_high || number < b.high || (number == b.high && !b.high_open));
}

static bool satisfies(struct lm_schema *s, const struct lm_schema_view *v, const struct lm_tree *value)
{
    if (!(lm_schema_type_of(value) & v->types) || !fits(s, v, value))
        return false;
    for (size_t i = 0; i < v->slots[LM_SLOT_ENUM].count; i++)
        if (!is_in(value, v->slots[LM_SLOT_ENUM].items[i]))
            return false;
    for (size_t i = 0; i < v->slots[LM_SLOT_CONST].count; i++)
        if (!lm_tree_equal(value, v->slots[LM_SLOT_CONST].items[i]))
            return false;
    return true;
}

/* What nobody checks a listed value against. */
static bool refuse_brothers(struct lm_schema *s, const struct lm_schema_view *v)
{
    static const struct {
        enum lm_schema_slot first, last;
        unsigned types;
    } rows[] = {
        { LM_SLOT_MULTIPLE_OF, LM_SLOT_MULTIPLE_OF, LM_TYPE_INTEGER | LM_TYPE_FRACTION },
        { LM_SLOT_PATTERN, LM_SLOT_FORMAT, LM_TYPE_STRING },
        { LM_SLOT_ITEMS, LM_SLOT_MAX_ITEMS, LM_TYPE_ARRAY },
        { LM_SLOT_PROPERTIES, LM_SLOT_MAX_PROPERTIES, LM_TYPE_OBJECT },
    };
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
        for (size_t slot = rows[r].first; slot <= rows[r].last; slot++)
            if ((v->types & rows[r].types) && v->slots[slot].count > 0) {
                lm_schema_refuse(s, v->slots[slot].items[0],
                                 "this keyword is not supported beside enum or const: leave it out");
                return true;
            }
    return false;
}

struct words {
    struct lm_arena arena;
    struct lm_str *items;
    size_t count, cap;
};

static void add_word(struct words *w, const struct lm_tree *value)
{
    struct lm_buf text = { 0 };
    lm_tree_write(value, &text);
    lm_grow(&w->items, &w->cap, w->count + 1, sizeof(*w->items));
    w->items[w->count++] = (struct lm_str){ lm_arena_strndup(&w->arena, text.ptr, text.len), text.len };
    lm_buf_release(&text);
}

struct lm_frag lm_schema_enum(struct lm_schema *s, const struct lm_schema_view *v)
{
    struct words w = { 0 };
    for (size_t i = 0; i < v->slots[LM_SLOT_ENUM].count; i++)
        if (v->slots[LM_SLOT_ENUM].items[i]->kind != LM_JSON_ARRAY)
            lm_schema_refuse(s, v->slots[LM_SLOT_ENUM].items[i], "expected an array of values");
    if (s->a->rc != LM_OK || refuse_brothers(s, v))
        return (struct lm_frag){ 0, 0 };
    if (v->slots[LM_SLOT_CONST].count > 0) {
        if (satisfies(s, v, v->slots[LM_SLOT_CONST].items[0]))
            add_word(&w, v->slots[LM_SLOT_CONST].items[0]);
    } else {
        for (const struct lm_tree *at = v->slots[LM_SLOT_ENUM].items[0]->first; at && lm_nfa_go_on(s->a);
             at = at->next)
            if (satisfies(s, v, at))
                add_word(&w, at);
    }
    const struct lm_frag x = lm_words_frag(s->a, w.items, w.count);
    free(w.items);
    lm_arena_release(&w.arena);
    return x;
}
