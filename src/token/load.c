/* token/load.c - tokenizer.json to struct lm_tokenizer.
 *
 * Strict: what this file does not know it refuses by name, because a tokenizer that is nearly right is worse
 * than none.  The bulk (vocab, merges) goes through the streaming reader, the small parts through
 * load_parts.c. */
#include "base/json.h"
#include "token/compiled.h"
#include "token/load_chain.h"
#include "token/load_other.h"

/* ---- objects as slices: the value of each known key, as text ---- */

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    return at;
}

/* One member; *at moves behind it.  False at damage. */
static bool next_member(const char **at, const char *end, struct lm_str *ret_key, struct lm_str *ret_value)
{
    const char *start = skip_blanks(*at, end);
    const char *stop = start < end && *start == '"' ? lm_load_string_end(start, end) : NULL;
    if (!stop)
        return false;
    *ret_key = (struct lm_str){ start + 1, (size_t)(stop - start) - 2 };
    start = skip_blanks(stop, end);
    if (start == end || *start != ':')
        return false;
    start = skip_blanks(start + 1, end);
    stop = lm_load_value_end(start, end);
    if (!stop)
        return false;
    *ret_value = (struct lm_str){ start, (size_t)(stop - start) };
    *at = skip_blanks(stop, end);
    return *at < end && (**at == ',' || **at == '}');
}

/* *ret_unknown: the first key that is not in the list.  some: the first of them is enough. */
static enum lm_rc slice_object(struct lm_token_load *l, struct lm_str json, const char *const *keys,
                               size_t key_count, bool some, struct lm_str *ret, struct lm_str *ret_unknown,
                               struct lm_err *err)
{
    const char *end = json.ptr + json.len, *at = skip_blanks(json.ptr, end);
    struct lm_str key, value;
    bool more = at < end && *at == '{';
    const char *first = more ? skip_blanks(at + 1, end) : at;
    if (more && first < end && *first == '}') {
        at = first;
        more = false;
    }
    if (!more && !(at < end && *at == '}'))
        return lm_fail(err, LM_EFORMAT, "%s: not JSON at byte %zu: an object is expected", l->name,
                       (size_t)(at - json.ptr));
    while (more) {
        at++;   // behind { or ,
        if (!next_member(&at, end, &key, &value))
            return lm_fail(err, LM_EFORMAT, "%s: not JSON at byte %zu: a member of an object is expected",
                           l->name, (size_t)(at - json.ptr));
        size_t k = 0;
        while (k < key_count && !lm_str_eq(key, lm_str(keys[k])))
            k++;
        if (k == key_count && ret_unknown->len == 0)
            *ret_unknown = key;
        if (k < key_count)
            ret[k] = value;
        if (some && k == 0)
            return LM_OK;
        more = *at == ',';
    }
    at = skip_blanks(at + 1, end);
    return at == end ? LM_OK
                     : lm_fail(err, LM_EFORMAT, "%s: not JSON at byte %zu: the object has ended", l->name,
                               (size_t)(at - json.ptr));
}

/* ---- model.vocab ---- */

enum lm_rc lm_load_put_token(struct lm_token_load *l, struct lm_str text, struct lm_str number,
                             struct lm_err *err)
{
    struct lm_vocab *v = &l->t->vocab;
    int64_t id = -1;
    if (!lm_str_to_i64(number, &id) || id < 0 || id >= LM_VOCAB_SIZE_MAX)
        return lm_fail(err, LM_EFORMAT, "%s: token '%.*s' has id %.*s, outside 0..%d", l->name, (int)text.len,
                       text.ptr, (int)number.len, number.ptr, LM_VOCAB_SIZE_MAX - 1);
    if ((size_t)id < v->size && v->items[id].kind != LM_TOKEN_HOLE)
        return lm_fail(err, LM_EFORMAT, "%s: token '%.*s' has id %lld, which another token has too", l->name,
                       (int)text.len, text.ptr, (long long)id);
    lm_buf_reset(&l->bytes);
    const bool mergeable = l->family->spell(l, text, &l->bytes);
    const struct lm_str bytes = lm_buf_str(&l->bytes);
    if (bytes.len == 0)
        return lm_fail(err, LM_EFORMAT, "%s: token id %lld is empty", l->name, (long long)id);
    lm_vocab_set(v, (uint32_t)id, bytes, LM_TOKEN_MODEL);
    v->items[id].merged = mergeable;
    if (mergeable && !lm_token_map_add(&l->t->model, v, (uint32_t)id))
        return lm_fail(err, LM_EFORMAT, "%s: token '%.*s' is there twice", l->name, (int)text.len, text.ptr);
    if (l->family->place)
        l->family->place(l, text, (uint32_t)id);
    return LM_OK;
}

static enum lm_rc read_vocab(struct lm_token_load *l, struct lm_str json, struct lm_err *err)
{
    struct lm_json_reader r;
    const size_t count = lm_load_count(json, '"') / 2;
    lm_vocab_room(&l->t->vocab, count, json.len / 2);
    lm_token_map_room(&l->t->model, count);
    lm_json_open(&r, json, lm_arena_printf(&l->arena, "%s: vocab", l->name), &l->arena);
    LM_TRY(lm_json_want(&r, LM_JSON_OBJECT, err));
    for (;;) {
        enum lm_json_kind kind;
        LM_TRY(lm_json_next(&r, &kind, err));
        if (kind == LM_JSON_OBJECT_END)
            return LM_OK;
        const struct lm_str text = r.text;
        LM_TRY(lm_json_want(&r, LM_JSON_NUMBER, err));
        LM_TRY(lm_load_put_token(l, text, r.text, err));
    }
}

/* ---- the whole ---- */

static enum lm_rc check_unknown(struct lm_token_load *l, const char *where, struct lm_str unknown,
                                struct lm_err *err)
{
    if (unknown.len == 0)
        return LM_OK;
    return lm_fail(err, LM_EFORMAT, "%s: unknown key '%.*s' %s", l->name, (int)unknown.len, unknown.ptr,
                   where);
}

enum { OPTIONS_MAX = 16 };

/* The model as slices of its options, then of vocab and merges. */
static enum lm_rc slice_model(struct lm_token_load *l, struct lm_str json, struct lm_str *ret_options,
                              struct lm_str *ret_vocab, struct lm_str *ret_merges, struct lm_err *err)
{
    const char *keys[OPTIONS_MAX + 2];
    struct lm_str values[OPTIONS_MAX + 2] = { 0 }, unknown = { 0 };
    size_t count = 0;
    for (; l->family->options[count].key; count++)
        keys[count] = l->family->options[count].key;
    LM_ASSERT(count <= OPTIONS_MAX);
    keys[count] = "vocab";
    keys[count + 1] = "merges";
    LM_TRY(slice_object(l, json, keys, count + l->family->has_merges + 1, false, values, &unknown, err));
    LM_TRY(check_unknown(l, "in the model", unknown, err));
    memcpy(ret_options, values, count * sizeof(*values));
    *ret_vocab = values[count];
    *ret_merges = values[count + 1];
    if (ret_vocab->len == 0 || (l->family->has_merges && ret_merges->len == 0))
        return lm_fail(err, LM_EFORMAT, "%s: the model has no vocab or no merges", l->name);
    return LM_OK;
}

static enum lm_rc read_model(struct lm_token_load *l, struct lm_str json, struct lm_str added,
                             struct lm_err *err)
{
    struct lm_str options[OPTIONS_MAX] = { 0 }, vocab, merges;
    LM_TRY(slice_model(l, json, options, &vocab, &merges, err));
    LM_TRY(lm_load_options(l, options, err));
    const bool merges_apart = l->family->has_merges && !l->family->merges && !l->compiled;
    if (merges_apart)
        lm_load_merges_start(l, merges);
    if (l->compiled)
        lm_compiled_attach(l->compiled, l->t);
    else
        LM_TRY((l->family->vocab ? l->family->vocab : read_vocab)(l, vocab, err));
    LM_TRY(lm_load_added(l, added, err));
    if (merges_apart)
        LM_TRY(lm_load_merges(l, err));
    else if (l->family->has_merges && !l->compiled)
        LM_TRY(l->family->merges(l, merges, err));
    return l->family->finish(l, err);
}

/* The kind of model, so that another is refused by its name, and the decoder say which family it is. */
static enum lm_rc find_family(struct lm_token_load *l, struct lm_str model, const json_t *decoder,
                              struct lm_err *err)
{
    static const struct lm_load_family *const families[] = { &lm_load_bytes, &lm_load_pieces,
                                                             &lm_load_words };
    static const char *const keys[] = { "type" };
    struct lm_str type = { 0 }, unknown = { 0 };
    bool known = false;
    LM_TRY(slice_object(l, model, keys, 1, true, &type, &unknown, err));
    const struct lm_str bare = type.len < 2 ? LM_STR("BPE") : (struct lm_str){ type.ptr + 1, type.len - 2 };
    const size_t count = l->chain ? LM_CHAIN_MODELS : sizeof(families) / sizeof(families[0]);
    for (size_t i = 0; i < count; i++) {
        const struct lm_load_family *family = l->chain ? &lm_load_chains[i] : families[i];
        if (!lm_str_eq(bare, lm_str(family->model)))
            continue;
        known = true;
        if (l->chain || lm_load_is(decoder, family->decoder)) {
            l->family = family;
            l->t->family = l->family->id;
            return LM_OK;
        }
    }
    if (known)
        return lm_load_refuse(l, "decoder", decoder, err);
    return lm_fail(err, LM_EFORMAT, "%s: model option type = %.*s is not supported", l->name,
                   type.len < 40 ? (int)type.len : 40, type.ptr);
}

static enum lm_rc read_component(struct lm_token_load *l, const char *part, struct lm_str json,
                                 enum lm_rc (*read)(struct lm_token_load *, const json_t *, struct lm_err *),
                                 struct lm_err *err)
{
    LM_TREE_FREE json_t *component = NULL;
    LM_TRY(lm_load_part(l, part, json, &component, err));
    return read(l, component, err);
}

static enum lm_rc read_all(struct lm_token_load *l, struct lm_str json, struct lm_err *err)
{
    enum {
        VERSION,
        TRUNCATION,
        PADDING,
        ADDED,
        NORMALIZER,
        PRE_TOKENIZER,
        POST_PROCESSOR,
        DECODER,
        MODEL,
        COUNT
    };
    // clang-format off
    static const char *const keys[COUNT] = {
        [VERSION] = "version", [ADDED] = "added_tokens", [NORMALIZER] = "normalizer",
        [PRE_TOKENIZER] = "pre_tokenizer", [DECODER] = "decoder", [MODEL] = "model",
        [POST_PROCESSOR] = "post_processor",
        [TRUNCATION] = "truncation", [PADDING] = "padding",   // not used: lengths are the caller's business
    };
    // clang-format on
    struct lm_str values[COUNT] = { 0 }, unknown = { 0 };
    LM_TRY(slice_object(l, json, keys, COUNT, false, values, &unknown, err));
    if (!lm_str_eq(values[VERSION], LM_STR("\"1.0\"")))
        return lm_fail(err, LM_EFORMAT, "%s: not a tokenizer.json of version \"1.0\"", l->name);
    if (values[MODEL].len == 0)
        return lm_fail(err, LM_EFORMAT, "%s: it has no model", l->name);
    LM_TRY(check_unknown(l, "", unknown, err));
    for (size_t i = TRUNCATION; i <= PADDING; i++) {
        LM_TREE_FREE json_t *unused = NULL;
        LM_TRY(lm_load_part(l, keys[i], values[i], &unused, err));
    }
    LM_TREE_FREE json_t *decoder = NULL;
    LM_TRY(lm_load_part(l, "decoder", values[DECODER], &decoder, err));
    LM_TRY(find_family(l, values[MODEL], decoder, err));
    LM_TRY(l->family->decode(l, decoder, err));
    LM_TRY(read_component(l, "normalizer", values[NORMALIZER], l->family->normalizer, err));
    LM_TRY(read_component(l, "pre_tokenizer", values[PRE_TOKENIZER], l->family->pre_tokenizer, err));
    LM_TRY(read_model(l, values[MODEL], values[ADDED], err));
    return lm_load_post_processor(l, values[POST_PROCESSOR], err);
}

static enum lm_rc parse_as(struct lm_str json, const char *name, bool ranks, bool chain,
                           const struct lm_compiled *compiled, struct lm_tokenizer **ret, struct lm_err *err)
{
    struct lm_token_load l = {
        .name = name, .ranks = ranks, .chain = chain, .compiled = compiled, .unknown_id = LM_TOKEN_NONE
    };
    l.t = lm_zalloc(1, sizeof(*l.t));
    memset(l.t->roles, 0xff, sizeof(l.t->roles));   // LM_TOKEN_NONE
    l.t->unknown = LM_TOKEN_NONE;
    memset(l.byte_id, 0xff, sizeof(l.byte_id));
    if (compiled)
        memcpy(l.byte_id, compiled->header.byte_id, sizeof(l.byte_id));
    const enum lm_rc rc = read_all(&l, json, err);
    lm_load_merges_stop(&l);
    json_decref(l.unknown);
    json_decref(l.sentencepiece);
    free(l.scores);
    lm_buf_release(&l.bytes);
    lm_arena_release(&l.arena);
    if (rc != LM_OK) {
        lm_tokenizer_free(l.t);
        return rc;
    }
    lm_tokenizer_find_roles(l.t);
    *ret = l.t;
    return LM_OK;
}

/* As one of the usual families, or else as a chain, which knows all components. */
static enum lm_rc parse(struct lm_str json, const char *name, bool ranks, struct lm_tokenizer **ret,
                        struct lm_err *err)
{
    struct lm_err usual = { 0 };
    const enum lm_rc rc = parse_as(json, name, ranks, false, NULL, ret, &usual);
    if (rc == LM_OK || ranks)
        return rc == LM_OK ? LM_OK : lm_fail(err, rc, "%s", usual.text);
    return parse_as(json, name, ranks, true, NULL, ret, err);
}

enum lm_rc lm_tokenizer_parse(struct lm_str json, const char *name, struct lm_tokenizer **ret,
                              struct lm_err *err)
{
    LM_TRY(parse(json, name, false, ret, err));
    lm_buf_add_str(&(*ret)->json, json);
    return LM_OK;
}

enum lm_rc lm_tokenizer_parse_usual(struct lm_str json, const char *name, struct lm_tokenizer **ret,
                                    struct lm_err *err)
{
    LM_TRY(parse_as(json, name, false, false, NULL, ret, err));
    lm_buf_add_str(&(*ret)->json, json);
    return LM_OK;
}

enum lm_rc lm_tokenizer_take(struct lm_buf *json, const char *name, bool ranks, struct lm_tokenizer **ret,
                             struct lm_err *err)
{
    LM_TRY(parse(lm_buf_str(json), name, ranks, ret, err));
    (*ret)->json = *json;
    *json = (struct lm_buf){ 0 };
    return LM_OK;
}

/* ---- compiled files ---- */

enum lm_rc lm_load_frame(struct lm_str json, const char *name, struct lm_buf *ret, struct lm_err *err)
{
    static const char *const model_key[] = { "model" }, *const tables[] = { "vocab", "merges" };
    static const char *const empty[] = { "{}", "[]" };
    struct lm_token_load l = { .name = name };
    struct lm_str model = { 0 }, unknown = { 0 }, cut[2] = { { 0 }, { 0 } };
    LM_TRY(slice_object(&l, json, model_key, 1, false, &model, &unknown, err));
    LM_TRY(slice_object(&l, model, tables, 2, false, cut, &unknown, err));
    const size_t first = cut[1].ptr && cut[1].ptr < cut[0].ptr;
    const char *at = json.ptr;
    for (size_t i = 0; i < 2; i++) {
        const struct lm_str *part = &cut[i ^ first];
        if (!part->ptr)
            continue;   // no merges
        lm_buf_add(ret, at, (size_t)(part->ptr - at));
        lm_buf_puts(ret, empty[i ^ first]);
        at = part->ptr + part->len;
    }
    lm_buf_add(ret, at, (size_t)(json.ptr + json.len - at));
    return LM_OK;
}

enum lm_rc lm_tokenizer_from_compiled(struct lm_str file, const char *name, struct lm_tokenizer **ret,
                                      struct lm_err *err)
{
    struct lm_compiled c;
    struct lm_tokenizer *t = NULL;
    LM_TRY(lm_compiled_check(file, name, &c, err));
    LM_TRY(parse_as(lm_compiled_section(&c, LM_COMPILED_FRAME), name, false, c.header.chain, &c, &t, err));
    const struct lm_str json = lm_compiled_section(&c, LM_COMPILED_JSON);
    t->json.ptr = (char *)(uintptr_t)json.ptr;
    t->json.len = json.len;
    memcpy(t->sha256, c.header.sha256, sizeof(t->sha256));
    t->sha256_made = true;
    memcpy(t->roles, c.header.roles, sizeof(t->roles));
    lm_buf_add_str(&t->chat_template, lm_compiled_section(&c, LM_COMPILED_TEMPLATE));
    lm_tokenizer_find_roles(t);
    *ret = t;
    return LM_OK;
}
