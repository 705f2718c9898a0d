/* cli/cmd_embed.c - lines of text to vectors. */

#include "base/file.h"
#include "base/json.h"
#include "base/line.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "infer/embed.h"

#include <jansson.h>
#include <stdlib.h>

enum { BATCH = 256, SIDE_FILE_MAX = 1 << 20 };
enum { AUTO, YES, NO };   // --normalise

struct embed_config {
    int pooling, normalise;   // pooling: 0 auto, else enum lm_pooling + 1
    int64_t tokens_max;
};
#define ROW(f) LM_OPT_AT(struct embed_config, f)
static const char *const poolings[] = { "auto", "mean", "cls", "max", NULL };
static const char *const answers[] = { "auto", "yes", "no", NULL };
static const struct lm_opt rows[] = {
    { "pooling", LM_OPT_CHOICE, ROW(pooling), "auto", 0, 0, "",
      "of token vectors; auto: what the folder says, else mean", poolings },
    { "normalise", LM_OPT_CHOICE, ROW(normalise), "auto", 0, 0, "",
      "to length 1; auto: what the folder's modules.json says, else yes", answers },
    { "tokens-max", LM_OPT_INT, ROW(tokens_max), "0", 0, 1 << 20, "tokens",
      "longer texts are cut; 0: what the folder says, else the model's context" },
};
const struct lm_opt_table lm_embed_options = LM_OPT_TABLE("embed", struct embed_config, rows);

/* A small JSON file of the folder; NULL when there is none or it is damaged: then nothing is known. */
static json_t *side_file(const char *dir, const char *name)
{
    LM_FREE char *path = lm_path_join(dir, name);
    struct lm_buf text = { 0 };
    json_t *ret = NULL;
    if (lm_file_read(path, SIDE_FILE_MAX, &text, NULL) == LM_OK)
        ret = json_loadb(text.ptr ? text.ptr : "", text.len, 0, NULL);
    lm_buf_release(&text);
    return ret;
}

/* What sentence-transformers wrote beside the weights. */
static struct lm_embed_config config_of(const char *dir, const struct embed_config *c)
{
    struct lm_embed_config ret = { .normalise = true, .tokens_max = (size_t)c->tokens_max };
    json_t *pooling = side_file(dir, "1_Pooling/config.json"), *modules = side_file(dir, "modules.json");
    json_t *limits = side_file(dir, "sentence_bert_config.json"), *module;
    size_t i;
    if (json_is_true(json_object_get(pooling, "pooling_mode_cls_token")))
        ret.pooling = LM_POOL_CLS;
    if (json_is_true(json_object_get(pooling, "pooling_mode_max_tokens")))
        ret.pooling = LM_POOL_MAX;
    if (modules)
        ret.normalise = false;
    json_array_foreach(modules, i, module)
    {
        const char *type = json_string_value(json_object_get(module, "type"));
        ret.normalise |= type && lm_str_ends(lm_str(type), LM_STR(".Normalize"));
    }
    const json_int_t most = json_integer_value(json_object_get(limits, "max_seq_length"));
    if (ret.tokens_max == 0 && most > 0)
        ret.tokens_max = (size_t)most;
    if (c->pooling)
        ret.pooling = (enum lm_pooling)(c->pooling - 1);
    if (c->normalise != AUTO)
        ret.normalise = c->normalise == YES;
    json_decref(pooling);
    json_decref(modules);
    json_decref(limits);
    return ret;
}

struct batch {
    struct lm_arena arena;   // the lines
    struct lm_str texts[BATCH];
    float *vectors;
    size_t count, dim;
    uint64_t texts_total, tokens_total, ns;
};

static enum lm_rc print_batch(struct lm_embedder *e, struct batch *b, struct lm_err *err)
{
    struct lm_buf line = { 0 };
    size_t tokens;
    const uint64_t start = lm_now_ns();
    lm_embedder_run(e, b->texts, b->count, b->vectors, &tokens);
    b->ns += lm_now_ns() - start;
    b->texts_total += b->count;
    b->tokens_total += tokens;
    bool ok = true;
    for (size_t i = 0; i < b->count && ok; i++) {
        lm_buf_reset(&line);
        for (size_t d = 0; d < b->dim; d++)
            lm_buf_printf(&line, "%s%.9g", d ? " " : "", (double)b->vectors[i * b->dim + d]);
        lm_buf_putc(&line, '\n');
        ok = fwrite(line.ptr, 1, line.len, stdout) == line.len;
    }
    lm_buf_release(&line);
    b->count = 0;
    lm_arena_reset(&b->arena);
    return ok ? LM_OK : lm_fail_errno(err, LM_EIO, "cannot write to standard output");
}

static enum lm_rc embed_lines(struct lm_embedder *e, struct batch *b, struct lm_err *err)
{
    struct lm_line_reader *input = NULL;
    struct lm_str line;
    LM_TRY(lm_line_open("-", 0, &input, err));
    enum lm_rc rc;
    while ((rc = lm_line_next(input, &line, err)) == LM_OK) {
        b->texts[b->count++] = (struct lm_str){ lm_arena_strndup(&b->arena, line.ptr, line.len), line.len };
        if (b->count == BATCH && (rc = print_batch(e, b, err)) != LM_OK)
            break;
    }
    if (rc == LM_ENOTHING)
        rc = b->count ? print_batch(e, b, err) : LM_OK;
    lm_line_close(input);
    return rc;
}

enum lm_rc lm_cmd_embed(struct lm_cli *cli, struct lm_err *err)
{
    struct lm_model model = { 0 };
    struct lm_tokenizer *tokenizer = NULL;
    struct lm_embedder *embedder = NULL;
    struct batch *b = lm_zalloc(1, sizeof *b);
    const struct lm_embed_config config = config_of(cli->args[0], cli->config[0]);
    enum lm_rc rc = lm_model_open(cli->args[0], &model, err);
    if (rc == LM_OK)
        rc = lm_model_tokenizer(cli->args[0], &tokenizer, err);
    if (rc == LM_OK)
        rc = lm_embedder_new(&model, tokenizer, &config, &embedder, err);
    if (rc == LM_OK) {
        b->dim = (size_t)model.config.dim;
        b->vectors = lm_zalloc(BATCH * b->dim, sizeof *b->vectors);
        rc = embed_lines(embedder, b, err);
    }
    if (rc == LM_OK) {
        lm_buf_putc(&cli->result, '{');
        lm_json_key_int(&cli->result, "texts", (int64_t)b->texts_total);
        lm_json_key_int(&cli->result, "tokens", (int64_t)b->tokens_total);
        lm_json_key_int(&cli->result, "dim", (int64_t)b->dim);
        lm_json_key_num(&cli->result, "texts_per_second",
                        b->ns ? (double)b->texts_total * 1e9 / (double)b->ns : 0);
        lm_buf_putc(&cli->result, '}');
    }
    free(b->vectors);
    lm_arena_release(&b->arena);
    free(b);
    lm_embedder_free(embedder);
    lm_tokenizer_free(tokenizer);
    lm_model_close(&model);
    return rc;
}
