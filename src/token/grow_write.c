/* token/grow_write.c - the files of a grown tokenizer.
 *
 * tokenizer.json is not written anew: new entries are put at the end of model.vocab and of model.merges, and
 * what was there stays byte for byte. */
#include "token/grow_impl.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "token/pieces.h"
#include "token/write.h"

/* ---- where in tokenizer.json ---- */

struct list {
    size_t end;   // offset of the closing bracket; 0: there is no such list
    bool filled;
};

struct places {
    struct list vocab, merges;
    bool joined;     // merges as "a b", not as ["a","b"]
    uint8_t *seen;   // [vocab.size] the id is in model.vocab
};

/* Pieces with scores, whose ids are their places. */
static enum lm_rc read_scored(struct lm_json_reader *r, const struct lm_tokenizer *t, struct places *p,
                              struct lm_err *err)
{
    enum lm_json_kind kind;
    LM_TRY(lm_json_next(r, &kind, err));
    for (size_t id = 0; kind == LM_JSON_ARRAY; id++) {
        if (id < t->vocab.size)
            p->seen[id] = 1;
        p->vocab.filled = true;
        for (int i = 0; i < 4; i++)   // piece, score, the end, and what follows
            LM_TRY(lm_json_next(r, &kind, err));
    }
    p->vocab.end = lm_json_offset(r) - 1;
    return LM_OK;
}

static enum lm_rc read_vocab(struct lm_json_reader *r, const struct lm_tokenizer *t, struct places *p,
                             struct lm_err *err)
{
    enum lm_json_kind kind;
    LM_TRY(lm_json_next(r, &kind, err));
    if (kind == LM_JSON_ARRAY)
        return read_scored(r, t, p, err);
    LM_TRY(lm_json_next(r, &kind, err));
    while (kind == LM_JSON_KEY) {
        int64_t id;
        LM_TRY(lm_json_want(r, LM_JSON_NUMBER, err));
        if (lm_str_to_i64(r->text, &id) && id >= 0 && (uint64_t)id < t->vocab.size)
            p->seen[id] = 1;
        p->vocab.filled = true;
        LM_TRY(lm_json_next(r, &kind, err));
    }
    p->vocab.end = lm_json_offset(r) - 1;
    return LM_OK;
}

static enum lm_rc read_merges(struct lm_json_reader *r, struct places *p, struct lm_err *err)
{
    enum lm_json_kind kind;
    const size_t depth = r->depth;
    LM_TRY(lm_json_want(r, LM_JSON_ARRAY, err));
    LM_TRY(lm_json_next(r, &kind, err));
    p->merges.filled = kind != LM_JSON_ARRAY_END;
    p->joined = kind == LM_JSON_STRING;
    while (r->depth > depth)
        LM_TRY(lm_json_next(r, &kind, err));
    p->merges.end = lm_json_offset(r) - 1;
    return LM_OK;
}

static enum lm_rc read_model(struct lm_json_reader *r, const struct lm_tokenizer *t, struct places *p,
                             struct lm_err *err)
{
    enum lm_json_kind kind;
    LM_TRY(lm_json_want(r, LM_JSON_OBJECT, err));
    LM_TRY(lm_json_next(r, &kind, err));
    while (kind == LM_JSON_KEY) {
        if (lm_str_eq(r->text, LM_STR("vocab")))
            LM_TRY(read_vocab(r, t, p, err));
        else if (lm_str_eq(r->text, LM_STR("merges")))
            LM_TRY(read_merges(r, p, err));
        else
            LM_TRY(lm_json_skip(r, err));
        LM_TRY(lm_json_next(r, &kind, err));
    }
    return LM_OK;
}

static enum lm_rc find_places(const struct lm_tokenizer *t, struct places *p, struct lm_err *err)
{
    struct lm_arena arena = { 0 };
    struct lm_json_reader r;
    enum lm_json_kind kind;
    lm_json_open(&r, lm_tokenizer_json(t), "tokenizer.json", &arena);
    r.lax = true;
    enum lm_rc rc = lm_json_want(&r, LM_JSON_OBJECT, err);
    while (rc == LM_OK && (rc = lm_json_next(&r, &kind, err)) == LM_OK && kind == LM_JSON_KEY)
        rc = lm_str_eq(r.text, LM_STR("model")) ? read_model(&r, t, p, err) : lm_json_skip(&r, err);
    lm_arena_release(&arena);
    if (rc == LM_OK && (p->vocab.end == 0 || (lm_grow_has_merges(t) && p->merges.end == 0)))
        rc = lm_fail(err, LM_EFORMAT, "grow: the tokenizer has no model.vocab or no model.merges");
    return rc;
}

/* ---- what is put there ---- */

static struct lm_str spelling(const struct lm_growth *g, uint32_t id, struct lm_buf *scratch)
{
    const struct lm_str bytes = lm_vocab_bytes(&g->learned->vocab, id);
    lm_buf_reset(scratch);
    if (g->t->family == LM_FAMILY_BYTES)
        lm_bytes_to_text(bytes, scratch);
    else if (g->t->family == LM_FAMILY_PIECES)
        lm_piece_from_text(bytes, scratch);
    else
        return bytes;
    return lm_buf_str(scratch);
}

static void put_entry(struct lm_buf *ret, bool *filled, struct lm_str text, uint32_t id)
{
    if (*filled)
        lm_buf_putc(ret, ',');
    *filled = true;
    lm_json_str(ret, text);
    lm_buf_printf(ret, ":%u", id);
}

/* Old ids that a learned token is made of. */
struct old_pieces {
    uint32_t *ids;
    size_t *starts;   // [new tokens + 1] in ids
    size_t len, cap;
};

static void put_pieces(struct old_pieces *p, size_t old_size, uint32_t id)
{
    const size_t from = id < old_size ? 0 : p->starts[id - old_size];
    const size_t count = id < old_size ? 1 : p->starts[id - old_size + 1] - from;
    lm_grow(&p->ids, &p->cap, p->len + count, sizeof(*p->ids));
    if (id < old_size)
        p->ids[p->len] = id;
    else
        memcpy(p->ids + p->len, p->ids + from, count * sizeof(*p->ids));
    p->len += count;
}

/* Every merge makes one new token, in the order of ids. */
static struct old_pieces take_apart(const struct lm_growth *g)
{
    const size_t old_size = g->t->vocab.size;
    const struct lm_learned *l = g->learned;
    struct old_pieces p = { .starts = lm_zalloc(l->merge_count + 1, sizeof(*p.starts)) };
    for (size_t i = 0; i < l->merge_count; i++) {
        LM_ASSERT(l->merges[i].id == old_size + i);
        put_pieces(&p, old_size, l->merges[i].left);
        put_pieces(&p, old_size, l->merges[i].right);
        p.starts[i + 1] = p.len;
    }
    return p;
}

static void put_scored(struct lm_buf *ret, bool *filled, struct lm_str text, double score)
{
    char number[LM_F64_TEXT];
    lm_f64_text(score, number);
    lm_buf_puts(ret, *filled ? ",[" : "[");
    *filled = true;
    lm_json_str(ret, text);
    lm_buf_printf(ret, ",%s]", number);
}

/* The ids of a list are its places: special tokens that are not in it yet go in before new pieces. */
static enum lm_rc put_pieces_of(const struct lm_growth *g, const struct places *p, struct lm_buf *ret,
                                struct lm_err *err)
{
    const struct lm_vocab *v = &g->t->vocab;
    struct old_pieces old = take_apart(g);
    bool filled = p->vocab.filled;
    enum lm_rc rc = LM_OK;
    for (uint32_t id = 0; id < v->size && rc == LM_OK; id++) {
        if (!p->seen[id] && v->items[id].kind != LM_TOKEN_SPECIAL)
            rc = lm_fail(
                err, LM_EINVAL,
                "grow: added token %u stands behind the pieces of the Unigram model and is not special; "
                "in its list it would become a piece",
                id);
        else if (!p->seen[id])
            put_scored(ret, &filled, lm_vocab_bytes(v, id), lm_grow_chain_floor(g->t));
    }
    for (size_t i = 0; i < g->kept_count; i++) {
        const size_t made = g->kept[i] - v->size;
        put_scored(
            ret, &filled, lm_vocab_bytes(&g->learned->vocab, g->kept[i]),
            lm_grow_chain_score(g->t, old.ids + old.starts[made], old.starts[made + 1] - old.starts[made]));
    }
    free(old.ids);
    free(old.starts);
    return rc;
}

/* Added tokens that are not in model.vocab go in with their ids: where that list has grown, transformers
 * would give them other ones. */
static void put_vocab(const struct lm_growth *g, const struct places *p, struct lm_buf *ret)
{
    struct lm_buf text = { 0 };
    bool filled = p->vocab.filled;
    const struct lm_vocab *v = &g->t->vocab;
    for (uint32_t id = 0; id < v->size; id++)
        if (!p->seen[id] && (v->items[id].kind == LM_TOKEN_SPECIAL || v->items[id].kind == LM_TOKEN_ADDED))
            put_entry(ret, &filled, lm_vocab_bytes(v, id), id);
    for (size_t i = 0; i < g->kept_count; i++)
        put_entry(ret, &filled, spelling(g, g->kept[i], &text), (uint32_t)(v->size + i));
    lm_buf_release(&text);
}

static void put_merge(const struct lm_growth *g, const struct lm_learned_merge *m, bool joined,
                      struct lm_buf *ret)
{
    struct lm_buf left = { 0 }, right = { 0 };
    const struct lm_str b = spelling(g, m->right, &right);
    struct lm_str a = spelling(g, m->left, &left);
    if (joined) {
        lm_buf_putc(&left, ' ');
        lm_buf_add_str(&left, b);
        lm_json_str(ret, lm_buf_str(&left));
    } else {
        lm_buf_putc(ret, '[');
        lm_json_str(ret, a);
        lm_buf_putc(ret, ',');
        lm_json_str(ret, b);
        lm_buf_putc(ret, ']');
    }
    lm_buf_release(&left);
    lm_buf_release(&right);
}

static void put_merges(const struct lm_growth *g, const struct places *p, struct lm_buf *ret)
{
    for (size_t i = 0; i < g->learned->merge_count; i++) {
        if (p->merges.filled || i > 0)
            lm_buf_putc(ret, ',');
        put_merge(g, &g->learned->merges[i], p->joined, ret);
    }
}

enum lm_rc lm_growth_json(const struct lm_growth *g, struct lm_buf *ret, struct lm_err *err)
{
    LM_ASSERT(g->learned->vocab.size >= g->t->vocab.size);
    const struct lm_str json = lm_tokenizer_json(g->t);
    struct places p = { .seen = lm_zalloc(g->t->vocab.size + 1, 1) };
    enum lm_rc rc = find_places(g->t, &p, err);
    if (rc == LM_OK) {
        const bool vocab_first = p.merges.end == 0 || p.vocab.end < p.merges.end;
        const size_t first = vocab_first ? p.vocab.end : p.merges.end;
        const size_t second = vocab_first ? p.merges.end : p.vocab.end;
        size_t at = 0;
        for (int step = 0; step < 2; step++) {
            const size_t to = step == 0 ? first : second;
            if (to == 0)
                continue;   // there are no merges
            lm_buf_add(ret, json.ptr + at, to - at);
            if (g->t->family == LM_FAMILY_CHAIN)
                rc = put_pieces_of(g, &p, ret, err);
            else if ((step == 0) == vocab_first)
                put_vocab(g, &p, ret);
            else
                put_merges(g, &p, ret);
            at = to;
        }
        lm_buf_add(ret, json.ptr + at, json.len - at);
    }
    free(p.seen);
    return rc;
}

/* ---- grown.json ---- */

void lm_growth_mapping(const struct lm_growth *g, const struct lm_tokenizer *grown, struct lm_buf *ret)
{
    const size_t old_size = g->t->vocab.size;
    struct old_pieces p = take_apart(g);
    struct lm_buf text = { 0 };
    char sha[LM_SHA256_HEX];
    lm_buf_puts(ret, "{\"format\":\"loom-grown-1\"");
    lm_json_key_int(ret, "old_size", (int64_t)old_size);
    lm_json_key_int(ret, "new_size", (int64_t)(old_size + g->kept_count));
    lm_hex(lm_tokenizer_sha256(g->t), LM_SHA256_BYTES, sha);
    lm_json_key_str(ret, "old_sha256", lm_str(sha));
    lm_hex(lm_tokenizer_sha256(grown), LM_SHA256_BYTES, sha);
    lm_json_key_str(ret, "sha256", lm_str(sha));
    lm_buf_puts(ret, ",\"tokens\":[");
    LM_ASSERT(p.ids || g->kept_count == 0);
    for (size_t i = 0; i < g->kept_count; i++) {
        const size_t made = g->kept[i] - old_size;
        lm_buf_puts(ret, i ? ",\n{" : "\n{");
        lm_json_key_int(ret, "id", (int64_t)(old_size + i));
        lm_json_key_str(ret, "token", spelling(g, g->kept[i], &text));
        lm_json_key_int(ret, "count", (int64_t)g->learned->counts[g->kept[i]]);
        lm_buf_puts(ret, ",\"pieces\":[");
        for (size_t k = p.starts[made]; k < p.starts[made + 1]; k++)
            lm_buf_printf(ret, k == p.starts[made] ? "%u" : ",%u", p.ids[k]);
        lm_buf_puts(ret, "]}");
    }
    lm_buf_puts(ret, "]}\n");
    lm_buf_release(&text);
    free(p.ids);
    free(p.starts);
}

/* ---- the other files ---- */

/* They say nothing about the tokens that are new. */
static const char *const companions[] = { "tokenizer_config.json", "special_tokens_map.json",
                                          "chat_template.jinja" };

static enum lm_rc copy_companions(const char *from_dir, const char *out_dir, bool *ret_config,
                                  struct lm_err *err)
{
    *ret_config = false;
    for (size_t i = 0; from_dir && i < sizeof(companions) / sizeof(companions[0]); i++) {
        LM_FREE char *from = lm_path_join(from_dir, companions[i]);
        LM_FREE char *to = lm_path_join(out_dir, companions[i]);
        if (!lm_path_exists(from))
            continue;
        LM_TRY(lm_file_copy(from, to, err));
        *ret_config |= i == 0;
    }
    return LM_OK;
}

enum lm_rc lm_growth_files(const struct lm_tokenizer *grown, const char *from_dir, const char *out_dir,
                           struct lm_err *err)
{
    const bool words = grown->family == LM_FAMILY_WORDS, chain = grown->family == LM_FAMILY_CHAIN;
    bool has_config;
    LM_TRY(copy_companions(from_dir, out_dir, &has_config, err));
    struct lm_buf vocab = { 0 }, vocab_bin = { 0 }, config = { 0 };
    if (words)
        lm_write_vocab_txt(grown, &vocab);
    else if (!chain)
        lm_write_vocab_json(grown, &vocab);
    lm_write_vocab_bin(grown, &vocab_bin);
    lm_write_tokenizer_config(grown, (struct lm_str){ 0 }, &config);
    const struct {
        const char *name;
        const struct lm_buf *content;
    } files[] = { { words ? "vocab.txt" : "vocab.json", &vocab },   // of a chain: none
                  { "tokenizer.json", &grown->json },
                  { "vocab.bin", &vocab_bin },
                  { "tokenizer_config.json", &config } };
    const size_t count = sizeof(files) / sizeof(files[0]) - has_config;
    enum lm_rc rc = LM_OK;
    for (size_t i = chain; rc == LM_OK && i < count; i++) {
        LM_FREE char *path = lm_path_join(out_dir, files[i].name);
        rc = lm_file_write(path, lm_buf_str(files[i].content), err);
    }
    lm_buf_release(&vocab);
    lm_buf_release(&vocab_bin);
    lm_buf_release(&config);
    return rc;
}
