/* interop_ask logits MODEL: for each line of ids on stdin, the logits after each of them: native float32, V a
 *     position, to stdout.
 * interop_ask greedy MODEL COUNT: for each line of ids, a line of the ids that follow at temperature 0, at
 * most COUNT, decoded all together. MODEL is whatever lm_model_open opens.
 * tests/interop/check_foundation_logits.py compares both with transformers. */
#include "base/line.h"
#include "base/mem.h"
#include "infer/engine.h"
#include "infer/forward.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINES_MAX = 64, ROWS = 64, TOKENS_MAX = 4096 };

struct line {
    uint32_t *ids;
    size_t len, cap;
};

/* Fills lines[] from stdin; LM_ELIMIT beyond LINES_MAX lines. */
static enum lm_rc read_lines(struct line *lines, size_t *ret_count, struct lm_err *err)
{
    struct lm_line_reader *input = NULL;
    struct lm_str text, word;
    size_t count = 0;
    enum lm_rc rc;
    LM_TRY(lm_line_open("-", 0, &input, err));
    while ((rc = lm_line_next(input, &text, err)) == LM_OK && count < LINES_MAX) {
        struct line *line = &lines[count++];
        while (rc == LM_OK && lm_str_split(&text, ' ', &word)) {
            int64_t id;
            if (!lm_str_to_i64(word, &id) || id < 0 || id > UINT32_MAX || line->len == TOKENS_MAX) {
                rc = lm_fail(err, LM_EINVAL, "line %zu: '%.*s' is no id, or one too many", count,
                             (int)word.len, word.ptr);
                break;
            }
            lm_grow(&line->ids, &line->cap, line->len + 1, sizeof(*line->ids));
            line->ids[line->len++] = (uint32_t)id;
        }
        if (rc != LM_OK)
            break;
    }
    lm_line_close(input);
    *ret_count = count;
    if (rc == LM_OK)
        return lm_fail(err, LM_ELIMIT, "more than %d lines", LINES_MAX);
    return rc == LM_ENOTHING ? LM_OK : rc;
}

/* ---- logits ---- */

static enum lm_rc print_logits(struct lm_forward *f, const struct line *line, const uint32_t *blocks,
                               size_t vocab, struct lm_err *err)
{
    struct lm_forward_row rows[ROWS];
    for (size_t start = 0; start < line->len; start += ROWS) {
        const size_t count = line->len - start < ROWS ? line->len - start : ROWS;
        for (size_t i = 0; i < count; i++)
            rows[i] = (struct lm_forward_row){
                .token = line->ids[start + i],
                .position = (uint32_t)(start + i),
                .blocks = blocks,
                .wants_logits = true,
            };
        size_t stride;
        const float *logits = lm_forward_run(f, rows, count, &stride);
        for (size_t i = 0; i < count; i++)
            if (fwrite(logits + i * stride, sizeof(float), vocab, stdout) != vocab)
                return lm_fail_errno(err, LM_EIO, "cannot write to standard output");
    }
    return LM_OK;
}

static enum lm_rc logits(const struct lm_model *m, const struct line *lines, size_t line_count,
                         struct lm_err *err)
{
    uint32_t blocks[TOKENS_MAX / LM_KV_TOKENS];
    const size_t vocab = (size_t)m->config.vocab_size;
    struct lm_forward *f;
    for (size_t i = 0; i < line_count; i++)
        for (size_t k = 0; k < lines[i].len; k++)
            if (lines[i].ids[k] >= vocab || lines[i].len > (size_t)m->config.context)
                return lm_fail(err, LM_EINVAL, "line %zu: id %u or its place is outside the model", i + 1,
                               lines[i].ids[k]);
    const struct lm_forward_config config = { ROWS, ROWS, TOKENS_MAX, LM_KV_F32 };
    LM_TRY(lm_forward_new(m, &config, &f, err));
    const bool taken = lm_kv_take(lm_forward_kv(f), TOKENS_MAX / LM_KV_TOKENS, blocks);
    LM_ASSERT(taken);   // the pool was made for exactly these
    enum lm_rc rc = LM_OK;
    for (size_t i = 0; i < line_count && rc == LM_OK; i++)
        rc = print_logits(f, &lines[i], blocks, vocab, err);
    lm_forward_free(f);
    return rc;
}

/* ---- greedy ---- */

struct answers {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t left;
};

struct answer {
    struct answers *all;
    struct line ids;
};

static void take(void *user, const struct lm_engine_event *event)
{
    struct answer *a = user;
    if (event->has_token) {
        lm_grow(&a->ids.ids, &a->ids.cap, a->ids.len + 1, sizeof(*a->ids.ids));
        a->ids.ids[a->ids.len++] = event->token.id;
    }
    if (event->finish == LM_FINISH_NONE)
        return;
    pthread_mutex_lock(&a->all->lock);
    a->all->left--;
    pthread_cond_signal(&a->all->changed);
    pthread_mutex_unlock(&a->all->lock);
}

static void print_answers(struct answer *answers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < answers[i].ids.len; k++)
            printf("%s%u", k ? " " : "", answers[i].ids.ids[k]);
        printf("\n");
        free(answers[i].ids.ids);
    }
}

static enum lm_rc greedy(const struct lm_model *m, const struct line *lines, size_t line_count,
                         size_t tokens_max, struct lm_err *err)
{
    struct answers all = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };
    struct answer answers[LINES_MAX] = { 0 };
    struct lm_sampling sampling;
    struct lm_engine *engine;
    lm_sampling_defaults(&sampling);
    sampling.temperature = 0;
    sampling.max_tokens = tokens_max;
    const struct lm_engine_config config = { .queue_max = LINES_MAX };
    LM_TRY(lm_engine_new(m, NULL, &config, &engine, err));
    enum lm_rc rc = LM_OK;
    for (size_t i = 0; i < line_count && rc == LM_OK; i++) {
        answers[i].all = &all;
        pthread_mutex_lock(&all.lock);
        all.left++;
        pthread_mutex_unlock(&all.lock);
        rc = lm_engine_submit(engine, lines[i].ids, lines[i].len, &sampling, take, &answers[i], NULL, err);
    }
    if (rc == LM_OK) {
        pthread_mutex_lock(&all.lock);
        while (all.left > 0)
            pthread_cond_wait(&all.changed, &all.lock);
        pthread_mutex_unlock(&all.lock);
    }
    lm_engine_free(engine);   // ends what still runs: the answers are ours again
    print_answers(answers, rc == LM_OK ? line_count : 0);
    return rc;
}

int main(int argc, char **argv)
{
    const bool wants_logits = argc == 3 && lm_str_eq(lm_str(argv[1]), LM_STR("logits"));
    int64_t tokens_max = 0;
    if (!wants_logits && !(argc == 4 && lm_str_eq(lm_str(argv[1]), LM_STR("greedy")) &&
                           lm_str_to_i64(lm_str(argv[3]), &tokens_max) && tokens_max > 0)) {
        fprintf(stderr, "usage: %s logits MODEL | greedy MODEL COUNT   (lines of ids on standard input)\n",
                argv[0]);
        return 2;
    }
    static struct line lines[LINES_MAX];
    size_t line_count = 0;
    struct lm_model m = { 0 };
    struct lm_err err = { 0 };
    enum lm_rc rc = lm_model_open(argv[2], &m, &err);
    if (rc == LM_OK)
        rc = read_lines(lines, &line_count, &err);
    if (rc == LM_OK)
        rc = wants_logits ? logits(&m, lines, line_count, &err)
                          : greedy(&m, lines, line_count, (size_t)tokens_max, &err);
    if (rc != LM_OK)
        fprintf(stderr, "%s\n", err.text);
    lm_model_close(&m);
    for (size_t i = 0; i < LINES_MAX; i++)
        free(lines[i].ids);
    return rc != LM_OK;
}
