#ifndef LM_TEST_RUNS_H
#define LM_TEST_RUNS_H
/* tests/train/runs.h - whole runs of a model that trains in no time, in the folder where the test stands. */

#include "base/sys.h"
#include "train/train.h"

#include "small.h"

static inline struct lm_pretrain_config small_config(void)
{
    struct lm_pretrain_config c;
    lm_opt_defaults(&lm_pretrain_options, &c);
    c.dim = 24;
    c.layers = 2;
    c.heads = 2;
    c.kv_heads = 1;
    c.ffn_dim = 40;
    c.context = 32;
    c.steps = 20;
    c.training.batch_tokens = 128;
    c.training.warmup_steps = 4;
    c.training.lr = 0.006;   // all that shapes the recorded losses is set here, whatever the defaults
    c.training.matrix_lr = 0.02;
    c.training.weight_decay = 0.1;
    c.training.eval_every = 8;
    c.training.checkpoint_every = 7;
    return c;
}

static inline enum lm_rc pretrain(const struct lm_pretrain_config *c, const char *work, const char *out,
                                  struct lm_err *err)
{
    struct lm_buf metrics = { 0 };
    const enum lm_rc rc = lm_pretrain(c, "tokens", "tokens", work, out, &metrics, err);
    assert_true((rc == LM_OK) == (metrics.len > 0));
    lm_buf_release(&metrics);
    return rc;
}

static inline void must(enum lm_rc rc, const struct lm_err *err)
{
    if (rc != LM_OK)
        fail_msg("%s", err->text);
}

static inline void assert_same_file(const char *a, const char *b, const char *name)
{
    char *path_a = lm_path_join(a, name), *path_b = lm_path_join(b, name);
    struct lm_buf x = { 0 }, y = { 0 };
    assert_int_equal(lm_file_read(path_a, 1 << 24, &x, NULL), LM_OK);
    assert_int_equal(lm_file_read(path_b, 1 << 24, &y, NULL), LM_OK);
    if (!lm_str_eq(lm_buf_str(&x), lm_buf_str(&y)))
        fail_msg("%s and %s differ", path_a, path_b);
    lm_buf_release(&x);
    lm_buf_release(&y);
    free(path_a);
    free(path_b);
}

static inline void assert_same_run(const char *a, const char *b)
{
    assert_same_file(a, b, "model.safetensors");
    assert_same_file(a, b, "metrics.jsonl");
    assert_same_file(a, b, "config.json");
    assert_same_file(a, b, "tokenizer.json");
}

/* The name of the newest checkpoint, "" for none. */
static inline void newest(const char *work, char ret[128])
{
    struct lm_file_list files = { 0 };
    ret[0] = 0;
    if (lm_path_exists(work))
        assert_int_equal(lm_file_walk(work, &files, NULL), LM_OK);
    for (size_t i = 0; i < files.len; i++)
        if (lm_str_ends(lm_str(files.items[i].relative), LM_STR(".json")))
            snprintf(ret, 128, "%s", files.items[i].relative);
    lm_file_list_release(&files);
}

static inline int make_data(void **state)
{
    (void)state;
    struct lm_file_list old = { 0 };
    assert_int_equal(lm_file_walk(".", &old, NULL), LM_OK);   // of an earlier run of this test
    for (size_t i = 0; i < old.len; i++)
        assert_int_equal(lm_path_remove(old.items[i].path, NULL), LM_OK);
    lm_file_list_release(&old);
    lm_threads_set(1);   // models this small have nothing to share out, and a child of threads cannot train
    struct lm_tokenizer *t = small_tokenizer("tokens");
    small_shard("tokens/train.tokens", t, 0, 50);
    small_shard("tokens/heldout.tokens", t, 50, 10);
    lm_tokenizer_free(t);
    lm_progress_quiet(true);
    return 0;
}

#endif
