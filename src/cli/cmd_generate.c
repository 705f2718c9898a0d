/* cli/cmd_generate.c - let a model continue or answer a text. */

#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "infer/engine.h"
#include "model/model.h"
#include "token/tokenizer.h"

#include <semaphore.h>
#include <stdlib.h>

struct generate_config {
    const char *prompt, *system;
    bool chat;
    int64_t max_tokens, top_k, seed, logprobs, context;
    double temperature, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty;
    struct lm_opt_list stop, logit_bias;
    int kv_type;
    const char *json_schema, *grammar, *regex;
    const char *snapshot;
};
#define ROW(f) LM_OPT_AT(struct generate_config, f)
static const struct lm_opt generate_rows[] = {
    { "prompt", LM_OPT_STRING, ROW(prompt), NULL, .help = "what to continue or to answer", .required = true },
    { "chat", LM_OPT_BOOL, ROW(chat), "false", .help = "through the model's chat template" },
    { "system", LM_OPT_STRING, ROW(system), NULL, .help = "system message (with --chat)" },
    { "max-tokens", LM_OPT_INT, ROW(max_tokens), "128", 1, 1 << 20, "tokens", "longest answer" },
    { "temperature", LM_OPT_REAL, ROW(temperature), "0", 0, 2, "", "0 = always the likeliest token" },
    { "top-k", LM_OPT_INT, ROW(top_k), "0", 0, 1 << 20, "tokens", "0 = off" },
    { "top-p", LM_OPT_REAL, ROW(top_p), "1", 0, 1, "", "1 = off" },
    { "min-p", LM_OPT_REAL, ROW(min_p), "0", 0, 1, "", "0 = off" },
    { "repetition-penalty", LM_OPT_REAL, ROW(repetition_penalty), "1", 0.1, 10, "", "1 = off" },
    { "presence-penalty", LM_OPT_REAL, ROW(presence_penalty), "0", -2, 2, "",
      "off for each token that occurred" },
    { "frequency-penalty", LM_OPT_REAL, ROW(frequency_penalty), "0", -2, 2, "",
      "off for each time it occurred" },
    { "logit-bias", LM_OPT_LIST, ROW(logit_bias), NULL, .help = "ID=VALUE, added to the token's logit" },
    { "logprobs", LM_OPT_INT, ROW(logprobs), "-1", -1, 20, "alternatives",
      "beside each token its log-probability and so many others (with --json); -1 = off" },
    { "kv-type", LM_OPT_CHOICE, ROW(kv_type), "f16", 0, 0, "", "of the KV cache", lm_kv_type_names },
    { "context", LM_OPT_INT, ROW(context), "0", 0, 1 << 24, "tokens",
      "prompt and answer; 0: as long as the model's" },
    { "seed", LM_OPT_INT, ROW(seed), "0", 0, 9e15, "", "same seed, same answer" },
    { "stop", LM_OPT_LIST, ROW(stop), NULL, .help = "strings that end the answer" },
    { "json-schema", LM_OPT_STRING, ROW(json_schema), NULL,
      .help = "file: the answer is JSON of this schema" },
    { "grammar", LM_OPT_STRING, ROW(grammar), NULL, .help = "file: the answer follows this grammar (GBNF)" },
    { "regex", LM_OPT_STRING, ROW(regex), NULL, .help = "the whole answer matches this expression" },
    { "snapshot", LM_OPT_STRING, ROW(snapshot), NULL,
      .help = "step: the model as it was then, of a run with --snapshot-every, also of one that goes on; "
              "newest" },
};
const struct lm_opt_table lm_generate_options =
    LM_OPT_TABLE("generate", struct generate_config, generate_rows);

/* ---- what the answer must be ---- */

struct form {
    struct lm_constraint_vocab *vocab;
    struct lm_constraint *constraint;   // NULL: anything
};

static void form_release(struct form *f)
{
    lm_constraint_free(f->constraint);
    lm_constraint_vocab_free(f->vocab);
}

static enum lm_rc form_init(struct form *f, const struct generate_config *g,
                            const struct lm_tokenizer *tokenizer, struct lm_err *err)
{
    const struct {
        const char *value, *option;
        enum lm_constraint_kind kind;
        bool is_file;
    } rows[] = {
        { g->json_schema, "json-schema", LM_CONSTRAINT_JSON_SCHEMA, true },
        { g->grammar, "grammar", LM_CONSTRAINT_GRAMMAR, true },
        { g->regex, "regex", LM_CONSTRAINT_REGEX, false },
    };
    enum { ROWS = sizeof(rows) / sizeof(rows[0]), FORM_BYTES_MAX = 4 << 20 };
    size_t given = ROWS, count = 0;
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].value) {
            given = i;
            count++;
        }
    if (count > 1)
        return lm_fail(err, LM_EINVAL, "only one of --json-schema, --grammar and --regex can be given");
    if (count == 0)
        return LM_OK;
    struct lm_buf text = { 0 };
    enum lm_rc rc = LM_OK;
    if (rows[given].is_file)
        rc = lm_file_read(rows[given].value, FORM_BYTES_MAX, &text, err);
    else
        lm_buf_puts(&text, rows[given].value);
    if (rc == LM_OK) {
        f->vocab = lm_constraint_vocab_new(tokenizer);
        rc = lm_constraint_new(f->vocab, rows[given].kind, lm_buf_str(&text), NULL, &f->constraint, err);
        if (rc != LM_OK)
            (void)lm_err_prefix(err, rc, "--%s", rows[given].option);
    }
    lm_buf_release(&text);
    return rc;
}

/* ---- the answer ---- */

struct sink {
    struct lm_buf text, logprobs;
    const struct lm_tokenizer *tokenizer;
    bool print;
    enum lm_finish finish;
    const char *error;   // of LM_FINISH_ERROR
    size_t prompt_tokens, completion_tokens;
    sem_t done;
};

static void add_logprob(struct sink *sink, struct lm_buf *to, struct lm_token_logprob token)
{
    lm_json_sep(to);
    lm_buf_putc(to, '{');
    lm_json_key_int(to, "id", token.id);
    lm_json_key_str(to, "token", lm_tokenizer_bytes(sink->tokenizer, token.id));
    lm_json_key_num(to, "logprob", (double)token.logprob);
}

static void add_logprobs(struct sink *sink, const struct lm_engine_event *event)
{
    add_logprob(sink, &sink->logprobs, event->token);
    lm_json_key(&sink->logprobs, "top");
    lm_buf_putc(&sink->logprobs, '[');
    for (size_t i = 0; i < event->top_count; i++) {
        add_logprob(sink, &sink->logprobs, event->top[i]);
        lm_buf_putc(&sink->logprobs, '}');
    }
    lm_buf_puts(&sink->logprobs, "]}");
}

/* Engine thread. */
static void take(void *user, const struct lm_engine_event *event)
{
    struct sink *sink = user;
    lm_buf_add_str(&sink->text, event->text);
    if (sink->print) {
        fwrite(event->text.ptr, 1, event->text.len, stdout);
        fflush(stdout);
    }
    if (event->has_token)
        add_logprobs(sink, event);
    if (event->finish != LM_FINISH_NONE) {
        sink->finish = event->finish;
        sink->error = event->error;
        sink->prompt_tokens = event->prompt_tokens;
        sink->completion_tokens = event->completion_tokens;
        sem_post(&sink->done);
    }
}

static enum lm_rc encode_prompt(const struct generate_config *g, const struct lm_tokenizer *tokenizer,
                                struct lm_tokens *ret, struct lm_err *err)
{
    struct lm_encoder *encoder = lm_encoder_new(tokenizer);
    enum lm_rc rc = LM_OK;
    if (g->chat) {
        const struct lm_chat_message messages[] = {
            { LM_STR("system"), lm_str(g->system) },
            { LM_STR("user"), lm_str(g->prompt) },
        };
        rc = lm_chat_encode(encoder, messages + !g->system, 1 + (g->system != NULL), true, ret, NULL, err);
    } else {
        lm_grow(&ret->ids, &ret->cap, 1, sizeof(*ret->ids));
        if (!lm_tokenizer_starts(tokenizer))   // the model's own start, else documents begin after an end
            ret->ids[ret->len++] = lm_tokenizer_end_of_text(tokenizer);
        lm_encode_with_specials(encoder, lm_str(g->prompt), false, ret);
    }
    lm_encoder_free(encoder);
    return rc;
}

/* "ID=VALUE" */
static enum lm_rc read_bias(const struct lm_opt_list *list, struct lm_arena *arena, struct lm_sampling *s,
                            struct lm_err *err)
{
    struct lm_logit_bias *bias = lm_arena_alloc(arena, (list->len + 1) * sizeof(*bias));
    for (size_t i = 0; i < list->len; i++) {
        struct lm_str rest = lm_str(list->items[i]), id;
        int64_t number;
        if (!lm_str_split(&rest, '=', &id) || !lm_str_to_i64(id, &number) || number < 0 ||
            number > UINT32_MAX || !lm_str_to_f64(rest, &bias[i].value))
            return lm_fail(err, LM_EINVAL, "--logit-bias '%s' is not ID=VALUE, as in 42=-100",
                           list->items[i]);
        bias[i].id = (uint32_t)number;
    }
    s->bias = bias;
    s->bias_count = list->len;
    return LM_OK;
}

static struct lm_sampling sampling_of(const struct generate_config *g, struct lm_arena *arena)
{
    struct lm_sampling s;
    lm_sampling_defaults(&s);
    s.max_tokens = (size_t)g->max_tokens;
    s.temperature = g->temperature;
    s.top_k = (size_t)g->top_k;
    s.top_p = g->top_p;
    s.min_p = g->min_p;
    s.repetition_penalty = g->repetition_penalty;
    s.presence_penalty = g->presence_penalty;
    s.frequency_penalty = g->frequency_penalty;
    s.logprobs = g->logprobs >= 0;
    s.top_logprobs = g->logprobs > 0 ? (size_t)g->logprobs : 0;
    s.seed = (uint64_t)g->seed;
    struct lm_str *stop = lm_arena_alloc(arena, (g->stop.len + 1) * sizeof(*stop));
    for (size_t i = 0; i < g->stop.len; i++)
        stop[i] = lm_str(g->stop.items[i]);
    s.stop = stop;
    s.stop_count = g->stop.len;
    return s;
}

static enum lm_rc speak(struct lm_cli *cli, const struct lm_model *model,
                        const struct lm_tokenizer *tokenizer, const struct lm_constraint *constraint,
                        struct lm_err *err)
{
    const struct generate_config *g = cli->config[0];
    struct lm_tokens prompt = { 0 };
    LM_TRY(encode_prompt(g, tokenizer, &prompt, err));
    const struct lm_engine_config config = {
        .sequences_max = 1,
        .queue_max = 1,
        .prefill_tokens = 512,   // nobody else waits
        .kv_tokens_max = g->context < model->config.context ? (size_t)g->context : 0,
        .kv_type = (enum lm_kv_type)g->kv_type,
    };
    struct lm_sampling sampling = sampling_of(g, &cli->arena);
    sampling.constraint = constraint;
    struct lm_engine *engine = NULL;
    struct sink sink = { .print = !cli->globals.json, .tokenizer = tokenizer };
    uint64_t ticket;
    sem_init(&sink.done, 0, 0);
    enum lm_rc rc = read_bias(&g->logit_bias, &cli->arena, &sampling, err);
    if (rc == LM_OK)
        rc = lm_engine_new(model, tokenizer, &config, &engine, err);
    if (rc == LM_OK)
        rc = lm_engine_submit(engine, prompt.ids, prompt.len, &sampling, take, &sink, &ticket, err);
    if (rc == LM_OK) {
        while (sem_wait(&sink.done) != 0)
            ;   // a signal interrupts the wait, not the answer
        if (sink.print)
            printf("\n");
        lm_buf_putc(&cli->result, '{');
        lm_json_key_str(&cli->result, "text", lm_buf_str(&sink.text));
        lm_json_key_str(&cli->result, "finish", lm_str(sink.finish == LM_FINISH_LENGTH ? "length" : "stop"));
        lm_json_key_int(&cli->result, "prompt_tokens", (int64_t)sink.prompt_tokens);
        lm_json_key_int(&cli->result, "completion_tokens", (int64_t)sink.completion_tokens);
        if (sampling.logprobs) {
            lm_json_key(&cli->result, "logprobs");
            lm_buf_printf(&cli->result, "[%.*s]", (int)sink.logprobs.len, sink.logprobs.ptr);
        }
        lm_buf_putc(&cli->result, '}');
        if (sink.finish == LM_FINISH_ERROR)
            rc = lm_fail(err, LM_EINVAL, "%s", sink.error);
    }
    lm_engine_free(engine);
    sem_destroy(&sink.done);
    lm_buf_release(&sink.text);
    lm_buf_release(&sink.logprobs);
    lm_tokens_release(&prompt);
    return rc;
}

enum lm_rc lm_cmd_generate(struct lm_cli *cli, struct lm_err *err)
{
    struct lm_model model = { 0 };
    struct lm_tokenizer *tokenizer = NULL;
    struct form form = { 0 };
    const struct generate_config *g = cli->config[0];
    const char *path = cli->args[0];
    if (g->snapshot)
        LM_TRY(lm_cli_snapshot(cli, path, g->snapshot, &path, err));
    LM_TRY(lm_model_open(path, &model, err));
    enum lm_rc rc = lm_model_tokenizer(path, &tokenizer, err);
    if (rc == LM_OK)
        rc = form_init(&form, g, tokenizer, err);
    if (rc == LM_OK)
        rc = speak(cli, &model, tokenizer, form.constraint, err);
    form_release(&form);
    lm_tokenizer_free(tokenizer);
    lm_model_close(&model);
    return rc;
}
