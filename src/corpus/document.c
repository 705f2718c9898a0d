#include "corpus/document.h"
#include "base/hash.h"

#include <stddef.h>
#include <stdlib.h>

/* A row for each key whose value is a string, in the order of writing.  To add one: a field and a row. */
struct field {
    const char *key;
    size_t offset;   // of the lm_str in lm_document
};

#define FIELD(name)                                                                                          \
    {                                                                                                        \
#name, offsetof(struct lm_document, name)                                                            \
    }
static const struct field fields[] = {
    FIELD(id),     FIELD(url),    FIELD(title),   FIELD(content),  FIELD(media_type), FIELD(date_published),
    FIELD(author), FIELD(source), FIELD(license), FIELD(language),
};
enum { FIELD_COUNT = sizeof(fields) / sizeof(fields[0]), LABELS = FIELD_COUNT, ATTRIBUTES, KEY_COUNT };

static struct lm_str *field_of(struct lm_document *doc, const struct field *field)
{
    return (struct lm_str *)((char *)doc + field->offset);
}

/* ---- reading ---- */

struct parse {
    struct lm_json_reader json;
    struct lm_document doc;
    bool seen[KEY_COUNT];
    bool has_alias;
    struct lm_str alias;         // value of `text`
    struct lm_buf *attributes;   // "{" and members, or empty
    struct lm_str keys[LM_DOCUMENT_ATTRIBUTES_MAX];
    size_t key_count;
};

/* Writes the value that `kind` begins and all that is in it. */
static enum lm_rc copy_value(struct lm_json_reader *r, enum lm_json_kind kind, size_t depth_max,
                             struct lm_buf *ret, struct lm_err *err)
{
    static const char *const words[] = {
        [LM_JSON_OBJECT] = "{",    [LM_JSON_OBJECT_END] = "}", [LM_JSON_ARRAY] = "[",
        [LM_JSON_ARRAY_END] = "]", [LM_JSON_TRUE] = "true",    [LM_JSON_FALSE] = "false",
        [LM_JSON_NULL] = "null",
    };
    size_t open = 0;
    for (;;) {
        const bool ends = kind == LM_JSON_OBJECT_END || kind == LM_JSON_ARRAY_END;
        if (!ends)
            lm_json_sep(ret);
        if (kind == LM_JSON_KEY || kind == LM_JSON_STRING)
            lm_json_str(ret, r->text);
        else if (kind == LM_JSON_NUMBER)
            lm_buf_add_str(ret, r->text);
        else
            lm_buf_puts(ret, words[kind]);
        if (kind == LM_JSON_KEY)
            lm_buf_putc(ret, ':');

        open += kind == LM_JSON_OBJECT || kind == LM_JSON_ARRAY;
        open -= ends;
        if (open == 0)
            return LM_OK;
        if (r->depth > depth_max)
            return lm_fail(err, LM_EFORMAT, "%s: byte %zu: nested more than %zu deep", r->name,
                           lm_json_offset(r), depth_max);
        LM_TRY(lm_json_next(r, &kind, err));
    }
}

/* Starts a member, or says that there is one of this name already. */
static enum lm_rc attribute_key(struct parse *p, struct lm_str key, bool *ret_taken, struct lm_err *err)
{
    for (size_t i = 0; i < p->key_count; i++) {
        if (lm_str_eq(p->keys[i], key)) {
            *ret_taken = true;
            return LM_OK;
        }
    }
    if (p->key_count == LM_DOCUMENT_ATTRIBUTES_MAX)
        return lm_fail(err, LM_ELIMIT, "%s: a record may have up to %d attributes", p->json.name,
                       LM_DOCUMENT_ATTRIBUTES_MAX);
    p->keys[p->key_count++] = key;
    if (p->attributes->len == 0)
        lm_buf_putc(p->attributes, '{');
    lm_json_sep(p->attributes);
    lm_json_str(p->attributes, key);
    lm_buf_putc(p->attributes, ':');
    *ret_taken = false;
    return LM_OK;
}

static enum lm_rc read_attribute(struct parse *p, struct lm_str key, enum lm_json_kind kind, size_t depth_max,
                                 struct lm_err *err)
{
    bool taken;
    LM_TRY(attribute_key(p, key, &taken, err));
    if (!taken)
        return copy_value(&p->json, kind, depth_max, p->attributes, err);

    struct lm_buf dropped = { 0 };   // checked like any other value
    const enum lm_rc rc = copy_value(&p->json, kind, depth_max, &dropped, err);
    lm_buf_release(&dropped);
    return rc;
}

static enum lm_rc read_attributes(struct parse *p, enum lm_json_kind kind, struct lm_err *err)
{
    if (kind == LM_JSON_NULL)
        return LM_OK;
    if (kind != LM_JSON_OBJECT)
        return lm_fail(err, LM_EFORMAT, "%s: 'attributes' must be an object", p->json.name);
    for (;;) {
        LM_TRY(lm_json_next(&p->json, &kind, err));
        if (kind == LM_JSON_OBJECT_END)
            return LM_OK;
        const struct lm_str key = p->json.text;
        LM_TRY(lm_json_next(&p->json, &kind, err));
        LM_TRY(read_attribute(p, key, kind, LM_JSON_DEPTH_MAX, err));
    }
}

static enum lm_rc read_labels(struct parse *p, enum lm_json_kind kind, struct lm_err *err)
{
    if (kind == LM_JSON_NULL)
        return LM_OK;
    const bool is_list = kind == LM_JSON_ARRAY;
    struct lm_str *labels = NULL;
    size_t len = 0, cap = 0;
    enum lm_rc rc = LM_OK;
    if (is_list)
        rc = lm_json_next(&p->json, &kind, err);
    while (rc == LM_OK && kind != LM_JSON_ARRAY_END) {
        if (kind != LM_JSON_STRING && kind != LM_JSON_NUMBER) {
            rc = lm_fail(err, LM_EFORMAT, "%s: 'labels' must be a list of strings", p->json.name);
            break;
        }
        lm_grow(&labels, &cap, len + 1, sizeof(*labels));
        labels[len++] = p->json.text;
        if (!is_list)
            break;
        rc = lm_json_next(&p->json, &kind, err);
    }
    if (rc == LM_OK && len) {
        struct lm_str *kept = lm_arena_alloc(p->json.arena, len * sizeof(*kept));
        memcpy(kept, labels, len * sizeof(*kept));
        p->doc.labels = kept;
        p->doc.label_count = len;
    }
    free(labels);
    return rc;
}

/* Index of a known key, KEY_COUNT for others. */
static size_t key_index(struct lm_str key)
{
    size_t i = 0;
    while (i < FIELD_COUNT && !lm_str_eq(key, lm_str(fields[i].key)))
        i++;
    if (i < FIELD_COUNT)
        return i;
    if (lm_str_eq(key, LM_STR("labels")))
        return LABELS;
    return lm_str_eq(key, LM_STR("attributes")) ? ATTRIBUTES : KEY_COUNT;
}

static enum lm_rc read_member(struct parse *p, struct lm_str key, enum lm_json_kind kind, struct lm_err *err)
{
    const size_t known = key_index(key);
    if (known < KEY_COUNT) {
        if (p->seen[known])
            return lm_fail(err, LM_EFORMAT, "%s: the key '%.*s' occurs twice", p->json.name, (int)key.len,
                           key.ptr);
        p->seen[known] = true;
    }
    if (known == LABELS)
        return read_labels(p, kind, err);
    if (known == ATTRIBUTES)
        return read_attributes(p, kind, err);

    const bool is_text = kind == LM_JSON_STRING || kind == LM_JSON_NUMBER;
    if (known < FIELD_COUNT && (is_text || kind == LM_JSON_NULL)) {
        if (is_text)
            *field_of(&p->doc, &fields[known]) = p->json.text;
        else
            p->seen[known] = false;   // as if it were not there
        return LM_OK;
    }
    if (lm_str_eq(key, LM_STR("text")) && kind == LM_JSON_STRING && !p->has_alias) {
        p->has_alias = true;
        p->alias = p->json.text;
        return LM_OK;
    }
    if (lm_str_eq(key, LM_STR("content")))
        return lm_fail(err, LM_EFORMAT, "%s: 'content' must be a string", p->json.name);
    return read_attribute(p, key, kind, LM_JSON_DEPTH_MAX - 1, err);   // it will lie one deeper
}

static enum lm_rc read_record(struct parse *p, struct lm_err *err)
{
    LM_TRY(lm_json_want(&p->json, LM_JSON_OBJECT, err));
    for (;;) {
        enum lm_json_kind kind;
        LM_TRY(lm_json_next(&p->json, &kind, err));
        if (kind == LM_JSON_OBJECT_END)
            break;
        const struct lm_str key = p->json.text;
        LM_TRY(lm_json_next(&p->json, &kind, err));
        LM_TRY(read_member(p, key, kind, err));
    }
    LM_TRY(lm_json_want(&p->json, LM_JSON_END, err));

    const bool has_content = p->doc.content.len || p->seen[key_index(LM_STR("content"))];
    if (!has_content && !p->has_alias)
        return lm_fail(err, LM_EFORMAT, "%s: the record has neither 'content' nor 'text'", p->json.name);
    if (!has_content) {
        p->doc.content = p->alias;
    } else if (p->has_alias) {   // both: `text` is just another attribute
        bool taken;
        LM_TRY(attribute_key(p, LM_STR("text"), &taken, err));
        if (!taken)
            lm_json_str(p->attributes, p->alias);
    }
    return LM_OK;
}

enum lm_rc lm_document_parse(struct lm_str line, const char *name, struct lm_arena *arena,
                             struct lm_document *ret, struct lm_err *err)
{
    struct lm_buf attributes = { 0 };
    struct parse p = { .attributes = &attributes };
    lm_json_open(&p.json, line, name, arena);
    p.json.lax = true;   // half a surrogate pair is no reason to lose a document

    const enum lm_rc rc = read_record(&p, err);
    if (rc == LM_OK) {
        if (attributes.len) {
            lm_buf_putc(&attributes, '}');
            p.doc.attributes.ptr = lm_arena_strndup(arena, attributes.ptr, attributes.len);
            p.doc.attributes.len = attributes.len;
        }
        *ret = p.doc;
    }
    lm_buf_release(&attributes);
    return rc;
}

/* ---- writing ---- */

void lm_document_write(const struct lm_document *doc, struct lm_buf *ret)
{
    lm_buf_putc(ret, '{');
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const struct lm_str value = *field_of((struct lm_document *)doc, &fields[i]);
        const bool is_language = fields[i].offset == offsetof(struct lm_document, language);
        if (is_language && doc->label_count) {   // labels come before it
            lm_json_key(ret, "labels");
            lm_buf_putc(ret, '[');
            for (size_t k = 0; k < doc->label_count; k++) {
                lm_json_sep(ret);
                lm_json_str(ret, doc->labels[k]);
            }
            lm_buf_putc(ret, ']');
        }
        if (value.len || fields[i].offset == offsetof(struct lm_document, content))
            lm_json_key_str(ret, fields[i].key, value);
    }
    if (doc->attributes.len) {
        lm_json_key(ret, "attributes");
        lm_buf_add_str(ret, doc->attributes);
    }
    lm_buf_putc(ret, '}');
}

static bool is_named(struct lm_str key, const char *const *names)
{
    for (; *names; names++)
        if (lm_str_eq(key, lm_str(*names)))
            return true;
    return false;
}

void lm_document_attributes_open(struct lm_str attributes, const char *const *without, struct lm_buf *ret)
{
    struct lm_arena arena = { 0 };
    struct lm_buf dropped = { 0 };
    struct lm_json_reader r;
    enum lm_json_kind kind = LM_JSON_OBJECT_END;
    enum lm_rc rc = LM_OK;

    lm_buf_putc(ret, '{');
    lm_json_open(&r, attributes.len ? attributes : LM_STR("{}"), "attributes", &arena);
    rc = lm_json_want(&r, LM_JSON_OBJECT, NULL);
    while (rc == LM_OK && (rc = lm_json_next(&r, &kind, NULL)) == LM_OK && kind == LM_JSON_KEY) {
        struct lm_buf *to = is_named(r.text, without) ? &dropped : ret;
        lm_json_sep(to);
        lm_json_str(to, r.text);
        lm_buf_putc(to, ':');
        rc = lm_json_next(&r, &kind, NULL);
        if (rc == LM_OK)
            rc = copy_value(&r, kind, LM_JSON_DEPTH_MAX, to, NULL);
    }
    LM_ASSERT(rc == LM_OK);   // lm_document_parse has read it, or we wrote it
    lm_buf_release(&dropped);
    lm_arena_release(&arena);
}

/* ---- identity ---- */

void lm_document_id(struct lm_str source, struct lm_str key, char ret[LM_DOCUMENT_ID])
{
    struct lm_sha256 h;
    char hex[LM_SHA256_HEX];
    lm_sha256_init(&h);
    lm_sha256_add_field(&h, source);
    lm_sha256_add_field(&h, key);
    lm_sha256_end_hex(&h, hex);
    memcpy(ret, hex, LM_DOCUMENT_ID - 1);
    ret[LM_DOCUMENT_ID - 1] = 0;
}

void lm_document_id_digest(struct lm_str id, uint8_t ret[LM_SHA256_BYTES])
{
    struct lm_sha256 h;
    lm_sha256_init(&h);
    lm_sha256_add(&h, id.ptr, id.len);
    lm_sha256_end(&h, ret);
}

static bool has_id_form(struct lm_str id)
{
    if (id.len != LM_DOCUMENT_ID - 1)
        return false;
    for (size_t i = 0; i < id.len; i++)
        if (!strchr("0123456789abcdef", id.ptr[i]) || id.ptr[i] == 0)
            return false;
    return true;
}

void lm_document_settle(struct lm_document *doc, struct lm_str source, struct lm_str place,
                        struct lm_arena *arena)
{
    static const char *const replaced[] = { "source_id", NULL };
    if (has_id_form(doc->id))
        return;
    char id[LM_DOCUMENT_ID];
    lm_document_id(source, doc->id.len ? doc->id : place, id);
    if (doc->id.len) {
        struct lm_buf attributes = { 0 };
        lm_document_attributes_open(doc->attributes, replaced, &attributes);
        lm_json_key_str(&attributes, "source_id", doc->id);
        lm_buf_putc(&attributes, '}');
        doc->attributes.ptr = lm_arena_strndup(arena, attributes.ptr, attributes.len);
        doc->attributes.len = attributes.len;
        lm_buf_release(&attributes);
    }
    doc->id = (struct lm_str){ lm_arena_strndup(arena, id, sizeof(id) - 1), sizeof(id) - 1 };
}
