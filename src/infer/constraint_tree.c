#include "infer/constraint_tree.h"

#include <stdio.h>

/* ---- reading ---- */

static struct lm_tree *add(struct lm_arena *arena, struct lm_tree *parent, enum lm_json_kind kind)
{
    struct lm_tree *made = lm_arena_alloc(arena, sizeof(*made));
    made->kind = kind;
    made->parent = parent;
    if (!parent)
        return made;
    made->index = parent->count++;
    if (parent->last)
        parent->last->next = made;
    else
        parent->first = made;
    parent->last = made;
    return made;
}

enum lm_rc lm_tree_read(struct lm_str source, const char *name, struct lm_arena *arena, struct lm_tree **ret,
                        struct lm_err *err)
{
    struct lm_json_reader r;
    struct lm_tree *open[LM_JSON_DEPTH_MAX + 1] = { NULL };   // [0] is no value
    struct lm_tree *root = NULL;
    struct lm_str key = { 0 };
    size_t depth = 0, count = 0;
    lm_json_open(&r, source, name, arena);
    for (;;) {
        enum lm_json_kind kind;
        LM_TRY(lm_json_next(&r, &kind, err));
        if (kind == LM_JSON_END)
            break;
        if (kind == LM_JSON_OBJECT_END || kind == LM_JSON_ARRAY_END) {
            depth--;
            continue;
        }
        if (kind == LM_JSON_KEY) {
            key = r.text;
            continue;
        }
        if (++count > LM_TREE_VALUES_MAX)
            return lm_fail(err, LM_ELIMIT, "%s: more than %d values", name, LM_TREE_VALUES_MAX);
        struct lm_tree *made = add(arena, open[depth], kind);
        if (open[depth] && open[depth]->kind == LM_JSON_OBJECT)
            made->key = key;
        if (kind == LM_JSON_STRING || kind == LM_JSON_NUMBER)
            made->text = r.text;
        if (depth == 0)
            root = made;
        if (kind == LM_JSON_OBJECT || kind == LM_JSON_ARRAY)
            open[++depth] = made;
    }
    LM_ASSERT(root);
    *ret = root;
    return LM_OK;
}

/* ---- looking ---- */

const struct lm_tree *lm_tree_get_str(const struct lm_tree *object, struct lm_str key)
{
    const struct lm_tree *found = NULL;
    if (object->kind == LM_JSON_OBJECT)
        for (const struct lm_tree *at = object->first; at; at = at->next)
            if (lm_str_eq(at->key, key))
                found = at;
    return found;
}

const struct lm_tree *lm_tree_get(const struct lm_tree *object, const char *key)
{
    return lm_tree_get_str(object, lm_str(key));
}

static bool equal_numbers(struct lm_str a, struct lm_str b)
{
    double x, y;
    return lm_str_eq(a, b) || (lm_str_to_f64(a, &x) && lm_str_to_f64(b, &y) && x == y);
}

bool lm_tree_equal(const struct lm_tree *a, const struct lm_tree *b)
{
    if (a->kind != b->kind || a->count != b->count)
        return false;
    if (a->kind == LM_JSON_NUMBER)
        return equal_numbers(a->text, b->text);
    if (a->kind == LM_JSON_STRING)
        return lm_str_eq(a->text, b->text);
    for (const struct lm_tree *x = a->first, *y = b->first; x; x = x->next, y = y->next) {
        const struct lm_tree *other = a->kind == LM_JSON_OBJECT ? lm_tree_get_str(b, x->key) : y;
        if (!other || !lm_tree_equal(x, other))
            return false;
    }
    return true;
}

/* ---- pointers ---- */

const char *lm_tree_pointer(const struct lm_tree *at, char ret[LM_TREE_POINTER_MAX])
{
    const struct lm_tree *path[LM_JSON_DEPTH_MAX + 1];
    size_t depth = 0;
    for (; at->parent; at = at->parent)
        path[depth++] = at;
    struct lm_buf text = { 0 };
    while (depth > 0) {
        const struct lm_tree *step = path[--depth];
        lm_buf_putc(&text, '/');
        if (step->parent->kind == LM_JSON_ARRAY)
            lm_buf_printf(&text, "%zu", step->index);
        else
            for (size_t i = 0; i < step->key.len; i++)
                if (step->key.ptr[i] == '~' || step->key.ptr[i] == '/')
                    lm_buf_puts(&text, step->key.ptr[i] == '~' ? "~0" : "~1");
                else
                    lm_buf_putc(&text, step->key.ptr[i]);
    }
    snprintf(ret, LM_TREE_POINTER_MAX, "%s", text.ptr ? text.ptr : "");
    lm_buf_release(&text);
    return ret;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    const char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* A step of a pointer in a fragment of a URI, as the name it stands for. */
static void decode_step(struct lm_str step, struct lm_buf *ret)
{
    lm_buf_reset(ret);
    for (size_t i = 0; i < step.len; i++) {
        char c = step.ptr[i];
        const int high = c == '%' && i + 2 < step.len ? hex_value(step.ptr[i + 1]) : -1;
        const int low = high >= 0 ? hex_value(step.ptr[i + 2]) : -1;
        if (low >= 0) {
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '~' && i + 1 < step.len && (step.ptr[i + 1] == '0' || step.ptr[i + 1] == '1')) {
            c = step.ptr[++i] == '0' ? '~' : '/';
        }
        lm_buf_putc(ret, c);
    }
}

static const struct lm_tree *child_at(const struct lm_tree *array, struct lm_str number)
{
    int64_t index;
    if (!lm_str_to_i64(number, &index) || index < 0)
        return NULL;
    const struct lm_tree *at = array->first;
    while (at && (int64_t)at->index < index)
        at = at->next;
    return at;
}

const struct lm_tree *lm_tree_find(const struct lm_tree *root, struct lm_str pointer)
{
    const struct lm_tree *at = root;
    struct lm_str step;
    struct lm_buf name = { 0 };
    if (pointer.len == 0)
        return root;
    if (!lm_str_split(&pointer, '/', &step) || step.len > 0)
        return NULL;
    while (at && lm_str_split(&pointer, '/', &step)) {
        decode_step(step, &name);
        at = at->kind == LM_JSON_ARRAY ? child_at(at, lm_buf_str(&name))
                                       : lm_tree_get_str(at, lm_buf_str(&name));
    }
    lm_buf_release(&name);
    return at;
}

/* ---- writing ---- */

void lm_tree_write(const struct lm_tree *value, struct lm_buf *ret)
{
    static const char *const words[] = {
        [LM_JSON_TRUE] = "true",
        [LM_JSON_FALSE] = "false",
        [LM_JSON_NULL] = "null",
    };
    if (value->kind == LM_JSON_STRING) {
        lm_json_str(ret, value->text);
    } else if (value->kind == LM_JSON_NUMBER) {
        lm_buf_add_str(ret, value->text);
    } else if (value->kind == LM_JSON_OBJECT || value->kind == LM_JSON_ARRAY) {
        const bool object = value->kind == LM_JSON_OBJECT;
        lm_buf_putc(ret, object ? '{' : '[');
        for (const struct lm_tree *at = value->first; at; at = at->next) {
            if (at->index > 0)
                lm_buf_putc(ret, ',');
            if (object) {
                lm_json_str(ret, at->key);
                lm_buf_putc(ret, ':');
            }
            lm_tree_write(at, ret);
        }
        lm_buf_putc(ret, object ? '}' : ']');
    } else {
        lm_buf_puts(ret, words[value->kind]);
    }
}
