/* token/template_text.c - memory of a rendering, its limits, and texts with origins.
 *
 * Texts are made at the end of the output and cut from there into two arrays that lie side by side, bytes and
 * origins.  When the newest of them is extended (x = x ~ y in a loop) it grows in place, so that such a loop
 * is linear. */
#include "token/template_impl.h"

#include <stdarg.h>
#include <stdio.h>

#undef lm_tpl_fail
enum lm_rc lm_tpl_fail(struct lm_tpl *r, enum lm_rc rc, const char *format, ...)
{
    char text[LM_ERR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return lm_fail(r->err, rc, "%s, line %u: %s", r->t->name, r->line, text);
}

enum lm_rc lm_tpl_work(struct lm_tpl *r, size_t steps)
{
    if (steps > LM_TEMPLATE_STEPS_MAX - r->steps)
        return lm_tpl_fail(r, LM_ELIMIT, "the template takes more than %d steps", LM_TEMPLATE_STEPS_MAX);
    r->steps += steps;
    return LM_OK;
}

enum lm_rc lm_tpl_deeper(struct lm_tpl *r)
{
    if (r->nest == LM_TEMPLATE_NEST_MAX)
        return lm_tpl_fail(r, LM_ELIMIT, "calls are nested deeper than %d", LM_TEMPLATE_NEST_MAX);
    r->nest++;
    return LM_OK;
}

enum lm_rc lm_tpl_alloc(struct lm_tpl *r, size_t count, size_t size, void *ret_pointer)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > LM_TEMPLATE_MEMORY_MAX ||
        r->arena.total_bytes > LM_TEMPLATE_MEMORY_MAX - bytes) {
        (void)lm_tpl_fail(r, LM_ELIMIT, "the template needs more than %d MiB of memory",
                          LM_TEMPLATE_MEMORY_MAX >> 20);
        return LM_ELIMIT;   // said once more: clang-tidy does not see it in the line above
    }
    LM_TRY(lm_tpl_work(r, bytes / 64));
    void *memory = lm_arena_alloc(&r->arena, bytes);
    memcpy(ret_pointer, &memory, sizeof(memory));
    return LM_OK;
}

/* ---- the end of the output ---- */

static enum lm_rc make_room(struct lm_tpl *r, size_t len)
{
    if (len > LM_TEMPLATE_OUTPUT_MAX || r->out_len > LM_TEMPLATE_OUTPUT_MAX - len)
        return lm_tpl_fail(r, LM_ELIMIT, "the text is longer than %d MiB", LM_TEMPLATE_OUTPUT_MAX >> 20);
    LM_TRY(lm_tpl_work(r, len / 64));
    lm_grow(&r->out, &r->out_cap, r->out_len + len, 1);
    lm_grow(&r->out_origin, &r->out_origin_cap, r->out_len + len, 1);
    return LM_OK;
}

enum lm_rc lm_tpl_put(struct lm_tpl *r, struct lm_tpl_text text)
{
    if (text.len == 0)
        return LM_OK;
    LM_TRY(make_room(r, text.len));
    memcpy(r->out + r->out_len, text.ptr, text.len);
    memcpy(r->out_origin + r->out_len, text.origin, text.len);
    r->out_len += text.len;
    return LM_OK;
}

enum lm_rc lm_tpl_put_own(struct lm_tpl *r, struct lm_str text, uint8_t origin)
{
    if (text.len == 0)
        return LM_OK;
    LM_TRY(make_room(r, text.len));
    memcpy(r->out + r->out_len, text.ptr, text.len);
    memset(r->out_origin + r->out_len, origin, text.len);
    r->out_len += text.len;
    return LM_OK;
}

/* ---- where texts are kept ---- */

/* Room for `len` bytes behind keep_len; a new pair of arrays when there is none, with room to grow. */
static enum lm_rc keep_room(struct lm_tpl *r, size_t len)
{
    enum { KEEP_MIN = 4 << 10 };
    if (len > LM_TEMPLATE_OUTPUT_MAX)
        return lm_tpl_fail(r, LM_ELIMIT, "a text is longer than %d MiB", LM_TEMPLATE_OUTPUT_MAX >> 20);
    if (len <= r->keep_cap - r->keep_len)
        return LM_OK;
    const size_t cap = len < KEEP_MIN ? KEEP_MIN : 2 * len;
    LM_TRY(lm_tpl_alloc(r, cap, 1, &r->keep));
    LM_TRY(lm_tpl_alloc(r, cap, 1, &r->keep_origin));
    r->keep_len = 0;
    r->keep_cap = cap;
    return LM_OK;
}

static void keep(struct lm_tpl *r, struct lm_tpl_text text)
{
    if (text.len == 0)
        return;
    memcpy(r->keep + r->keep_len, text.ptr, text.len);
    memcpy(r->keep_origin + r->keep_len, text.origin, text.len);
    r->keep_len += text.len;
}

/* The last `len` bytes of what is kept. */
static struct lm_tpl_value kept(const struct lm_tpl *r, size_t len)
{
    if (len == 0)
        return lm_tpl_text((struct lm_tpl_text){ "", (const uint8_t *)"", 0 });
    return lm_tpl_text(
        (struct lm_tpl_text){ r->keep + r->keep_len - len, r->keep_origin + r->keep_len - len, len });
}

enum lm_rc lm_tpl_cut(struct lm_tpl *r, size_t mark, struct lm_tpl_value *ret)
{
    LM_ASSERT(mark <= r->out_len);
    const size_t len = r->out_len - mark;
    LM_TRY(keep_room(r, len));
    if (len > 0)
        keep(r, (struct lm_tpl_text){ r->out + mark, r->out_origin + mark, len });
    r->out_len = mark;
    *ret = kept(r, len);
    return LM_OK;
}

enum lm_rc lm_tpl_concat(struct lm_tpl *r, struct lm_tpl_text a, struct lm_tpl_text b,
                         struct lm_tpl_value *ret)
{
    if (a.len == 0 || b.len == 0) {
        *ret = lm_tpl_text(a.len == 0 ? b : a);
        return LM_OK;
    }
    LM_TRY(lm_tpl_work(r, b.len / 64));
    const bool newest = r->keep_cap > 0 && a.ptr + a.len == r->keep + r->keep_len &&
                        a.origin + a.len == r->keep_origin + r->keep_len;
    if (newest && b.len <= r->keep_cap - r->keep_len) {
        keep(r, b);
    } else {
        LM_TRY(lm_tpl_work(r, a.len / 64));
        LM_TRY(keep_room(r, a.len + b.len));
        keep(r, a);
        keep(r, b);
    }
    *ret = kept(r, a.len + b.len);
    return LM_OK;
}

/* The text is borrowed: it outlives the rendering. */
enum lm_rc lm_tpl_data(struct lm_tpl *r, struct lm_str text, uint8_t origin, struct lm_tpl_value *ret)
{
    uint8_t *origins = NULL;
    LM_TRY(lm_tpl_alloc(r, text.len + 1, 1, &origins));
    memset(origins, origin, text.len);
    *ret = lm_tpl_text((struct lm_tpl_text){ text.ptr, origins, text.len });
    return LM_OK;
}

/* ---- bindings ---- */

struct lm_tpl_name lm_tpl_name(struct lm_str text)
{
    uint64_t hash = 1469598103934665603u;   // FNV-1a: names are short
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (uint8_t)text.ptr[i]) * 1099511628211u;
    return (struct lm_tpl_name){ text, hash };
}

static struct lm_tpl_binding *find(const struct lm_tpl_scope *scope, const struct lm_tpl_name *name)
{
    for (size_t i = scope->count; i-- > 0;)
        if (scope->items[i].name.hash == name->hash && lm_str_eq(scope->items[i].name.text, name->text))
            return &scope->items[i];
    return NULL;
}

enum lm_rc lm_tpl_bind(struct lm_tpl *r, struct lm_tpl_scope *scope, struct lm_tpl_name name,
                       struct lm_tpl_value value)
{
    LM_TRY(lm_tpl_work(r, scope->count / 16));
    struct lm_tpl_binding *known = find(scope, &name);
    if (known) {
        known->value = value;
        return LM_OK;
    }
    if (scope->count == scope->cap) {
        struct lm_tpl_binding *items = NULL;
        const size_t cap = scope->cap ? 2 * scope->cap : 4;
        LM_TRY(lm_tpl_alloc(r, cap, sizeof(*items), &items));
        if (scope->count > 0)
            memcpy(items, scope->items, scope->count * sizeof(*items));
        scope->items = items;
        scope->cap = cap;
    }
    scope->items[scope->count++] = (struct lm_tpl_binding){ name, value };
    return LM_OK;
}

enum lm_rc lm_tpl_lookup(struct lm_tpl *r, const struct lm_tpl_name *name, struct lm_tpl_value *ret)
{
    for (const struct lm_tpl_scope *s = r->scope; s; s = s->outer) {
        LM_TRY(lm_tpl_work(r, s->count / 16));
        const struct lm_tpl_binding *known = find(s, name);
        if (known) {
            *ret = known->value;
            return LM_OK;
        }
    }
    *ret = lm_tpl_undefined(name->text);
    const struct lm_tpl_function *function = lm_tpl_function_find(name->text);
    if (function)
        *ret = (struct lm_tpl_value){ .kind = LM_TPL_FUNCTION, .function = function };
    return LM_OK;
}
