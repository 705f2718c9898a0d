/* Memory: planned, printed, refused before the first step. */
#include "train/trainer_impl.h"

#include "base/sys.h"

struct lm_net_config lm_trainer_net_config(const struct lm_trainer_config *config, const struct lm_feed *feed,
                                           bool bf16)
{
    return (struct lm_net_config){ .positions = feed->positions,
                                   .rows_min = config->dpo ? LM_DPO_ROWS_MIN : 0,
                                   .bf16 = bf16,
                                   .recompute = config->loop.recompute,
                                   .dropout = (float)config->dropout,
                                   .seed = config->seed,
                                   .lora = config->lora };
}

/* The code that oneDNN makes at its first products, and its scratch; measured, and about the same for any
 * model. */
static size_t product_library(const struct lm_trainer_config *config, bool bf16)
{
    enum { MUON_BYTES = 10000000, MERGE_BYTES = 6000000, F32_BYTES = 6000000 };
    const bool muon = config->optim.optimizer == LM_OPTIMIZER_MUON;
    return (config->lora ? MERGE_BYTES : muon && !bf16 ? MUON_BYTES : 0) + (bf16 ? 0 : F32_BYTES);
}

/* What is resident already beside the model and its adapter: the program, its libraries, tokenizer, data. */
static size_t there_already(size_t model)
{
    const uint64_t resident = lm_rss_bytes();
    return resident > model ? (size_t)resident - model : 0;
}

enum lm_rc lm_trainer_plan(struct lm_training *t, bool bf16, struct lm_err *err)
{
    const struct lm_trainer_config *config = t->config;
    const struct lm_llama *model = t->model;
    const struct lm_feed *feed = t->feed;
    const size_t weights = model->parameter_count * sizeof(float);
    const struct lm_net_config net = lm_trainer_net_config(config, feed, bf16);
    const struct lm_lora *lora = config->lora;
    const size_t adapter = lora ? lm_lora_bytes(&lora->config, &model->config, NULL) : 0;
    const size_t count = lora ? lora->count : model->parameter_count;
    const int ranks = lm_trainer_ranks(config)->count;
    const struct {
        const char *what;
        size_t bytes;
    } rows[] = {
        { "weights", weights },
        { "adapter", adapter },
        { "gradient", lora ? lora->count * sizeof(float) : weights },
        { "sum of gradients", (config->dp ? count * sizeof(float) : 0) +
                                  lm_batch_parts_bytes(lm_trainer_parts(config, feed), ranks, count) },
        { "optimiser", lm_optim_bytes(&config->optim, &model->config, lora, ranks, bf16) },
        { "activations and scratch", lm_net_bytes(&model->config, &net, lm_threads()) },
        { "batches", lm_batch_bytes(feed->rows + lm_net_rows(feed->positions), feed->positions) },
        { "product library", product_library(config, bf16) },
        { "program and data", there_already(weights + adapter) },
        { "copy for snapshots", lora && config->loop.snapshot_every > 0 ? weights : 0 },
    };
    size_t sum = 0;
    struct lm_buf text = { 0 };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sum += rows[i].bytes;
        if (rows[i].bytes > 0)
            lm_buf_printf(&text, "%s%s %.1f MB", i ? ", " : "", rows[i].what, (double)rows[i].bytes / 1e6);
    }
    t->planned_bytes = sum;
    const size_t sum_mb = (sum + 999999) / 1000000;
    lm_say("%s: memory plan %zu MB: %s", config->what, sum_mb, text.ptr);
    lm_buf_release(&text);
    if (config->memory_max_mb > 0 && sum_mb > config->memory_max_mb)
        return lm_fail(
            err, LM_ENOMEM,
            "%s: the plan needs %zu MB and memory-max-mb is %llu; make the model or the context smaller, "
            "or raise the limit",
            config->what, sum_mb, (unsigned long long)config->memory_max_mb);
    return LM_OK;
}

void lm_trainer_tell_memory(const struct lm_training *t)
{
    const double planned = (double)t->planned_bytes, peak = (double)lm_rss_peak_bytes();
    lm_say("%s: %.0f MB were resident at most, %+.1f %% against the plan of %.0f MB", t->config->what,
           peak / 1e6, 100 * (peak / planned - 1), planned / 1e6);
}
