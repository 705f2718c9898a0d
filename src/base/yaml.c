#include "base/yaml.h"

#include "base/file.h"

#include <stdlib.h>
#include <yaml.h>

/* A place in the file while it is read. */
struct builder {
    yaml_parser_t parser;
    yaml_event_t event;   // the one looked at; owned
    bool has_event;
    const char *name;
    struct lm_arena *arena;
    size_t depth;
    struct lm_err *err;
};

static size_t line_of(const struct builder *b)
{
    return b->event.start_mark.line + 1;
}

/* ---- events ---- */

static enum lm_rc fail_parser(struct builder *b)
{
    const yaml_parser_t *p = &b->parser;
    if (p->error == YAML_READER_ERROR)
        return lm_fail(b->err, LM_EFORMAT, "%s: byte %zu: %s", b->name, p->problem_offset, p->problem);
    return lm_fail(b->err, LM_EFORMAT, "%s:%zu: column %zu: %s", b->name, p->problem_mark.line + 1,
                   p->problem_mark.column + 1, p->problem ? p->problem : "not valid YAML");
}

static enum lm_rc next_event(struct builder *b)
{
    if (b->has_event)
        yaml_event_delete(&b->event);
    b->has_event = false;
    if (!yaml_parser_parse(&b->parser, &b->event))
        return fail_parser(b);
    b->has_event = true;
    return LM_OK;
}

static enum lm_rc refuse(struct builder *b, const char *what, const yaml_char_t *name)
{
    return lm_fail(b->err, LM_EFORMAT, "%s:%zu: %s '%s' is not allowed in this file: write the value itself",
                   b->name, line_of(b), what, (const char *)name);
}

/* A small file must not grow, and a value must be what it looks like. */
static enum lm_rc check_properties(struct builder *b)
{
    const yaml_event_t *e = &b->event;
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (e->type) {
    case YAML_ALIAS_EVENT:
        return refuse(b, "alias", e->data.alias.anchor);
    case YAML_SCALAR_EVENT:
        anchor = e->data.scalar.anchor;
        tag = e->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = e->data.sequence_start.anchor;
        tag = e->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = e->data.mapping_start.anchor;
        tag = e->data.mapping_start.tag;
        break;
    default:
        break;
    }
    if (anchor)
        return refuse(b, "anchor", anchor);
    return tag ? refuse(b, "tag", tag) : LM_OK;
}

/* ---- nodes ---- */

static enum lm_rc read_node(struct builder *b, struct lm_yaml **ret);

static int by_key_then_line(const void *a, const void *b)
{
    const struct lm_yaml *x = *(struct lm_yaml *const *)a, *y = *(struct lm_yaml *const *)b;
    const int order = lm_str_cmp(x->key, y->key);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

/* Sorted, because a hostile file may hold a million keys. */
static enum lm_rc check_keys(struct builder *b, const struct lm_yaml *map, size_t count)
{
    if (count < 2)
        return LM_OK;
    LM_FREE const struct lm_yaml **sorted = lm_zalloc(count, sizeof(*sorted));
    size_t len = 0;
    for (const struct lm_yaml *node = map->child; node; node = node->next)
        sorted[len++] = node;
    qsort(sorted, len, sizeof(*sorted), by_key_then_line);
    for (size_t i = 1; i < len; i++)
        if (lm_str_eq(sorted[i - 1]->key, sorted[i]->key))
            return lm_fail(b->err, LM_EFORMAT, "%s:%zu: key '%s' is already set in line %zu", b->name,
                           sorted[i]->line, sorted[i]->key.ptr, sorted[i - 1]->line);
    return LM_OK;
}

/* On the event of a key: its text and line. */
static enum lm_rc read_key(struct builder *b, struct lm_str *ret_key, size_t *ret_line)
{
    LM_TRY(check_properties(b));
    if (b->event.type != YAML_SCALAR_EVENT)
        return lm_fail(b->err, LM_EFORMAT, "%s:%zu: a key must be plain text", b->name, line_of(b));
    const char *text = (const char *)b->event.data.scalar.value;
    const size_t len = b->event.data.scalar.length;
    if (memchr(text, '\0', len))
        return lm_fail(b->err, LM_EFORMAT, "%s:%zu: a key must not hold NUL", b->name, line_of(b));
    if (len == 2 && memcmp(text, "<<", 2) == 0)
        return refuse(b, "merge key", (const yaml_char_t *)"<<");
    *ret_key = (struct lm_str){ lm_arena_strndup(b->arena, text, len), len };
    *ret_line = line_of(b);
    return LM_OK;
}

/* Children up to the end event; the start event is the current one. */
static enum lm_rc read_children(struct builder *b, struct lm_yaml *parent)
{
    const bool map = parent->kind == LM_YAML_MAP;
    const yaml_event_type_t end = map ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
    struct lm_yaml **link = &parent->child;
    size_t count = 0;
    for (;;) {
        LM_TRY(next_event(b));
        if (b->event.type == end)
            break;
        struct lm_str key = { "", 0 };
        size_t key_line = 0;
        if (map) {
            LM_TRY(read_key(b, &key, &key_line));
            LM_TRY(next_event(b));
        }
        struct lm_yaml *node = NULL;
        LM_TRY(read_node(b, &node));
        node->key = key;
        if (map)
            node->line = key_line;   // the value may start below it
        *link = node;
        link = &node->next;
        count++;
    }
    return map ? check_keys(b, parent, count) : LM_OK;
}

/* Recursion is bounded by LM_YAML_DEPTH_MAX. */
static enum lm_rc read_node(struct builder *b, struct lm_yaml **ret)
{
    LM_TRY(check_properties(b));
    struct lm_yaml *node = lm_arena_alloc(b->arena, sizeof(*node));
    *node = (struct lm_yaml){ .line = line_of(b), .key = LM_STR(""), .value = LM_STR("") };
    *ret = node;
    if (b->event.type == YAML_SCALAR_EVENT) {
        const char *text = (const char *)b->event.data.scalar.value;
        const size_t len = b->event.data.scalar.length;
        node->kind = LM_YAML_SCALAR;
        node->quoted = b->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        node->value = (struct lm_str){ lm_arena_strndup(b->arena, text, len), len };
        return LM_OK;
    }
    LM_ASSERT(b->event.type == YAML_MAPPING_START_EVENT || b->event.type == YAML_SEQUENCE_START_EVENT);
    node->kind = b->event.type == YAML_MAPPING_START_EVENT ? LM_YAML_MAP : LM_YAML_LIST;
    if (++b->depth > LM_YAML_DEPTH_MAX)
        return lm_fail(b->err, LM_ELIMIT, "%s:%zu: nested deeper than %d", b->name, node->line,
                       LM_YAML_DEPTH_MAX);
    LM_TRY(read_children(b, node));
    b->depth--;
    return LM_OK;
}

/* STREAM-START (DOCUMENT-START node DOCUMENT-END)? STREAM-END */
static enum lm_rc read_document(struct builder *b, struct lm_yaml **ret)
{
    LM_TRY(next_event(b));
    LM_TRY(next_event(b));
    if (b->event.type == YAML_STREAM_END_EVENT) {
        *ret = lm_arena_alloc(b->arena, sizeof(**ret));
        **ret = (struct lm_yaml){ .kind = LM_YAML_MAP, .line = 1, .key = LM_STR(""), .value = LM_STR("") };
        return LM_OK;
    }
    LM_TRY(next_event(b));
    LM_TRY(read_node(b, ret));
    LM_TRY(next_event(b));
    LM_TRY(next_event(b));
    if (b->event.type != YAML_STREAM_END_EVENT)
        return lm_fail(b->err, LM_EFORMAT, "%s:%zu: a second document starts here; only one is read", b->name,
                       line_of(b));
    return LM_OK;
}

enum lm_rc lm_yaml_parse(struct lm_str text, const char *name, struct lm_arena *arena,
                         const struct lm_yaml **ret, struct lm_err *err)
{
    if (text.len > LM_YAML_BYTES_MAX)
        return lm_fail(err, LM_ELIMIT, "'%s' is larger than the %d bytes allowed here", name,
                       LM_YAML_BYTES_MAX);
    struct builder b = { .name = name, .arena = arena, .err = err };
    LM_ASSERT(yaml_parser_initialize(&b.parser));
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const yaml_char_t *)text.ptr, text.len);
    struct lm_yaml *root = NULL;
    const enum lm_rc rc = read_document(&b, &root);
    if (b.has_event)
        yaml_event_delete(&b.event);
    yaml_parser_delete(&b.parser);
    if (rc == LM_OK)
        *ret = root;
    return rc;
}

enum lm_rc lm_yaml_read(const char *path, struct lm_arena *arena, const struct lm_yaml **ret,
                        struct lm_err *err)
{
    struct lm_buf text = { 0 };
    enum lm_rc rc = lm_file_read(path, LM_YAML_BYTES_MAX, &text, err);
    if (rc == LM_OK)
        rc = lm_yaml_parse(lm_buf_str(&text), path, arena, ret, err);
    lm_buf_release(&text);
    return rc;
}

/* ---- looking things up ---- */

const struct lm_yaml *lm_yaml_get(const struct lm_yaml *map, const char *key)
{
    if (!map || map->kind != LM_YAML_MAP)
        return NULL;
    for (const struct lm_yaml *node = map->child; node; node = node->next)
        if (lm_str_eq(node->key, lm_str(key)))
            return node;
    return NULL;
}

bool lm_yaml_is_null(const struct lm_yaml *node)
{
    if (!node)
        return true;
    if (node->kind != LM_YAML_SCALAR || node->quoted)
        return false;
    return node->value.len == 0 || lm_str_eq(node->value, LM_STR("~")) ||
           lm_str_eq(node->value, LM_STR("null"));
}
