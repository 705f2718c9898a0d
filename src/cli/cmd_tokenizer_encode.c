/* cli/cmd_tokenizer_encode.c - loom tokenizer encode: ids, their ranges or their number; cut and padded. */

#include "base/file.h"
#include "base/json.h"
#include "cli/commands.h"
#include "token/tokenizer.h"

struct shape {
    bool count, offsets, with_specials, keep_end, overflow, pad_left;
    int64_t max_tokens, stride, pad_to, pad_multiple, pad_id;
};
enum { LENGTH_MAX = 1 << 30 };

static const struct lm_opt rows[] = {
    { "count", LM_OPT_BOOL, LM_OPT_AT(struct shape, count), "false",
      .help = "how many ids a text has, instead of the ids (encode)" },
    { "offsets", LM_OPT_BOOL, LM_OPT_AT(struct shape, offsets), "false",
      .help = "JSON with the bytes that each id stands for (encode)" },
    { "with-specials", LM_OPT_BOOL, LM_OPT_AT(struct shape, with_specials), "false",
      .help = "with what the model expects around a text (encode)" },
    { "max-tokens", LM_OPT_INT, LM_OPT_AT(struct shape, max_tokens), "0", .min = 0, .max = LENGTH_MAX,
      .help = "longer texts are cut; 0: never (encode)" },
    { "keep-end", LM_OPT_BOOL, LM_OPT_AT(struct shape, keep_end), "false",
      .help = "cutting keeps the end of a text (encode)" },
    { "overflow", LM_OPT_BOOL, LM_OPT_AT(struct shape, overflow), "false",
      .help = "JSON with what was cut off, in further parts (encode)" },
    { "overlap", LM_OPT_INT, LM_OPT_AT(struct shape, stride), "0", .min = 0, .max = LENGTH_MAX,
      .help = "ids that two parts share (encode)" },
    { "pad-to", LM_OPT_INT, LM_OPT_AT(struct shape, pad_to), "0", .min = 0, .max = LENGTH_MAX,
      .help = "shorter texts are padded (encode)" },
    { "pad-multiple", LM_OPT_INT, LM_OPT_AT(struct shape, pad_multiple), "0", .min = 0, .max = 1 << 20,
      .help = "lengths are multiples of this (encode)" },
    { "pad-left", LM_OPT_BOOL, LM_OPT_AT(struct shape, pad_left), "false",
      .help = "padding goes before the text (encode)" },
    { "pad-id", LM_OPT_INT, LM_OPT_AT(struct shape, pad_id), "-1", .min = -1, .max = INT32_MAX,
      .help = "-1: the tokenizer's (encode)" },
};
const struct lm_opt_table lm_tokenizer_encode_options = LM_OPT_TABLE("encoding", struct shape, rows);

struct lm_cli_encoding {
    const struct shape *shape;
    const struct lm_tokenizer *tokenizer;
    struct lm_encoder *encoder;
    bool allow_special;
    struct lm_fit fit;
    uint32_t pad_id;
    struct lm_tokens text, around;   // of a text alone; what the model expects around it
    struct lm_spans spans;           // of text
    struct lm_arena arena;           // a line, decoded
};

static enum lm_rc check_shape(const struct shape *s, struct lm_cli_encoding *w, struct lm_err *err)
{
    const size_t around = s->with_specials ? w->around.len : 0;
    if (s->max_tokens == 0 && (s->keep_end || s->overflow || s->stride))
        return lm_fail(err, LM_EINVAL,
                       "--keep-end, --overflow and --overlap say how to cut: add --max-tokens=N");
    if (s->max_tokens > 0) {
        if ((size_t)s->max_tokens <= around)
            return lm_fail(err, LM_EINVAL, "--max-tokens=%lld leaves no room beside %zu special tokens",
                           (long long)s->max_tokens, around);
        w->fit = (struct lm_fit){ (size_t)s->max_tokens - around, (size_t)s->stride, s->keep_end };
        LM_TRY(lm_fit_check(w->fit, err));
    }
    w->pad_id = s->pad_id >= 0 ? (uint32_t)s->pad_id : lm_tokenizer_role(w->tokenizer, LM_ROLE_PAD);
    if ((s->pad_to || s->pad_multiple) && w->pad_id >= lm_tokenizer_vocab_size(w->tokenizer))
        return lm_fail(err, LM_EINVAL,
                       s->pad_id < 0 ? "the tokenizer has no padding token: give its id, --pad-id=N"
                                     : "--pad-id is outside the vocabulary");
    return LM_OK;
}

enum lm_rc lm_cli_encoding_new(const void *shape, const struct lm_tokenizer *t, bool allow_special,
                               struct lm_cli_encoding **ret, struct lm_err *err)
{
    struct lm_cli_encoding *w = lm_zalloc(1, sizeof(*w));
    w->shape = shape;
    w->tokenizer = t;
    w->encoder = lm_encoder_new(t);
    w->allow_special = allow_special;
    lm_encode_with_specials(w->encoder, LM_STR(""), false, &w->around);
    const enum lm_rc rc = check_shape(w->shape, w, err);
    if (rc == LM_OK)
        *ret = w;
    else
        lm_cli_encoding_free(w);
    return rc;
}

void lm_cli_encoding_free(struct lm_cli_encoding *w)
{
    if (!w)
        return;
    lm_encoder_free(w->encoder);
    lm_tokens_release(&w->text);
    lm_tokens_release(&w->around);
    lm_spans_release(&w->spans);
    lm_arena_release(&w->arena);
    free(w);
}

/* ---- one part of a text, with what is around it and padding: id number i of it ---- */

struct part {
    struct lm_span ids;     // of the text
    size_t before, after;   // special tokens around
    size_t pad_before, pad_after;
};

static struct part part_of(const struct lm_cli_encoding *w, size_t index)
{
    const struct shape *s = w->shape;
    struct part p = { .ids = { 0, w->text.len } };
    if (s->max_tokens)
        p.ids = lm_fit_part(w->fit, w->text.len, index);
    if (s->with_specials) {
        p.before = lm_tokenizer_starts(w->tokenizer);
        p.after = w->around.len - p.before;
    }
    const size_t len = p.before + (p.ids.end - p.ids.start) + p.after;
    const size_t pads = lm_pad_length(len, (size_t)s->pad_to, (size_t)s->pad_multiple) - len;
    *(s->pad_left ? &p.pad_before : &p.pad_after) = pads;
    return p;
}

/* Some ids that are not of the text: they have no range. */
static void put_others(const uint32_t *ids, uint32_t pad_id, size_t count, bool offsets, char separator,
                       struct lm_buf *ret)
{
    for (size_t i = 0; i < count; i++) {
        if (ret->len && ret->ptr[ret->len - 1] != '[')
            lm_buf_putc(ret, separator);
        if (offsets)
            lm_buf_puts(ret, "[0,0]");
        else
            lm_buf_printf(ret, "%u", ids ? ids[i] : pad_id);
    }
}

static void put_own(const struct lm_cli_encoding *w, struct lm_span ids, bool offsets, char separator,
                    struct lm_buf *ret)
{
    for (size_t i = ids.start; i < ids.end; i++) {
        if (ret->len && ret->ptr[ret->len - 1] != '[')
            lm_buf_putc(ret, separator);
        if (offsets)
            lm_buf_printf(ret, "[%zu,%zu]", w->spans.items[i].start, w->spans.items[i].end);
        else
            lm_buf_printf(ret, "%u", w->text.ids[i]);
    }
}

static void put_part(const struct lm_cli_encoding *w, const struct part *p, bool offsets, char separator,
                     struct lm_buf *ret)
{
    put_others(NULL, w->pad_id, p->pad_before, offsets, separator, ret);
    put_others(w->around.ids, 0, p->before, offsets, separator, ret);
    put_own(w, p->ids, offsets, separator, ret);
    if (p->after > 0)
        put_others(w->around.ids + p->before, 0, p->after, offsets, separator, ret);
    put_others(NULL, w->pad_id, p->pad_after, offsets, separator, ret);
}

static void put_members(const struct lm_cli_encoding *w, size_t index, struct lm_buf *ret)
{
    const struct part p = part_of(w, index);
    lm_buf_puts(ret, "\"ids\":[");
    put_part(w, &p, false, ',', ret);
    lm_buf_putc(ret, ']');
    if (w->shape->offsets) {
        lm_buf_puts(ret, ",\"offsets\":[");
        put_part(w, &p, true, ',', ret);
        lm_buf_putc(ret, ']');
    }
}

static void put_json(const struct lm_cli_encoding *w, struct lm_buf *ret)
{
    lm_buf_putc(ret, '{');
    put_members(w, 0, ret);
    if (w->shape->overflow) {
        lm_buf_puts(ret, ",\"overflow\":[");
        for (size_t i = 1; i < lm_fit_count(w->fit, w->text.len); i++) {
            lm_buf_puts(ret, i > 1 ? ",{" : "{");
            put_members(w, i, ret);
            lm_buf_putc(ret, '}');
        }
        lm_buf_putc(ret, ']');
    }
    lm_buf_putc(ret, '}');
}

static void put_text(struct lm_cli_encoding *w, struct lm_str text, bool json, struct lm_buf *ret)
{
    const struct shape *s = w->shape;
    if (s->count) {
        const size_t around = s->with_specials ? w->around.len : 0;
        lm_buf_printf(ret, json ? "{\"count\":%zu}" : "%zu",
                      lm_encode_count(w->encoder, text, w->allow_special) + around);
        return;
    }
    w->text.len = w->spans.len = 0;
    if (s->offsets)
        lm_encode_spans(w->encoder, text, w->allow_special, &w->text, &w->spans);
    else
        lm_encode(w->encoder, text, w->allow_special, &w->text);
    const struct part p = part_of(w, 0);
    if (json || s->offsets || s->overflow)
        put_json(w, ret);
    else
        put_part(w, &p, false, ' ', ret);
}

enum lm_rc lm_cli_encode_line(void *user, struct lm_str line, struct lm_buf *ret, struct lm_err *err)
{
    struct lm_cli_encoding *w = user;
    struct lm_json_reader json;
    lm_arena_reset(&w->arena);
    lm_json_open(&json, line, "a text", &w->arena);
    LM_TRY(lm_json_want(&json, LM_JSON_STRING, err));
    const struct lm_str text = json.text;
    LM_TRY(lm_json_want(&json, LM_JSON_END, err));
    put_text(w, text, false, ret);
    return LM_OK;
}

void lm_cli_encode_text(struct lm_cli *cli, struct lm_cli_encoding *w, struct lm_str text)
{
    struct lm_buf shown = { 0 };
    if (cli->globals.json) {
        put_text(w, text, true, &cli->result);
        return;
    }
    put_text(w, text, false, &shown);
    if (shown.len)
        printf("%s\n", shown.ptr);
    lm_buf_release(&shown);
}

/* ---- files ---- */

struct file_ids {
    const struct lm_cli_encoding *encoding;
    struct lm_buf line;   // what of it is not printed yet
    uint64_t count;       // ids of the file at work
    uint64_t files, ids;
};

static void put_id(struct file_ids *f, uint32_t id)
{
    char digits[16], *at = digits + sizeof(digits);
    do
        *--at = (char)('0' + id % 10);
    while ((id /= 10) > 0);
    if (f->count++ > 0)
        *--at = ' ';
    if (!f->encoding->shape->count)
        lm_buf_add(&f->line, at, (size_t)(digits + sizeof(digits) - at));
}

static void put_ids(struct file_ids *f, const uint32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        put_id(f, ids[i]);
}

static enum lm_rc print_ids(void *user, size_t file, const uint32_t *ids, size_t count, bool last,
                            struct lm_err *err)
{
    (void)file;
    struct file_ids *f = user;
    const struct lm_cli_encoding *w = f->encoding;
    const size_t before = w->shape->with_specials ? lm_tokenizer_starts(w->tokenizer) : 0;
    const size_t after = w->shape->with_specials ? w->around.len - before : 0;
    lm_buf_reset(&f->line);
    if (f->count == 0)
        put_ids(f, w->around.ids, before);
    put_ids(f, ids, count);
    if (last) {
        if (after > 0)
            put_ids(f, w->around.ids + before, after);
        if (w->shape->count)
            lm_buf_printf(&f->line, "%llu", (unsigned long long)f->count);
        lm_buf_putc(&f->line, '\n');
        f->ids += f->count;
        f->files++;
        f->count = 0;
    }
    if (fwrite(f->line.ptr, 1, f->line.len, stdout) != f->line.len)
        return lm_fail_errno(err, LM_EIO, "cannot write to standard output");
    return LM_OK;
}

enum lm_rc lm_cli_encode_files(struct lm_cli *cli, struct lm_cli_encoding *w, struct lm_err *err)
{
    const struct shape *s = w->shape;
    struct file_ids f = { .encoding = w };
    if (s->offsets || s->overflow || s->max_tokens || s->pad_to || s->pad_multiple)
        return lm_fail(
            err, LM_EINVAL,
            "--files gives all ids of a file or, with --count, their number: no offsets, cutting or "
            "padding");
    const enum lm_rc rc = lm_encode_files(w->tokenizer, (const char *const *)cli->args, cli->arg_count,
                                          w->allow_special, print_ids, &f, err);
    lm_buf_putc(&cli->result, '{');
    lm_json_key_int(&cli->result, "files", (int64_t)f.files);
    lm_json_key_int(&cli->result, "ids", (int64_t)f.ids);
    lm_buf_putc(&cli->result, '}');
    lm_buf_release(&f.line);
    return rc;
}
