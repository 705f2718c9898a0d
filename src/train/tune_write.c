/* The end of a search: what it found, for people and for a next run. */
#include "train/tune.h"

#include "base/file.h"
#include "base/json.h"

#include <math.h>

/* "name: value" of one row; the value as JSON, which YAML takes. */
static void yaml_row(const struct lm_opt *opt, const void *config, struct lm_buf *ret)
{
    const struct lm_opt_table one = { .name = "", .rows = opt, .len = 1 };
    struct lm_buf json = { 0 };
    lm_opt_to_json(&one, config, false, &json);
    const size_t skip = strlen(opt->name) + 4;   // {"name":
    lm_buf_printf(ret, "  %s: %.*s\n", opt->name, (int)(json.len - skip - 1), json.ptr + skip);
    lm_buf_release(&json);
}

static bool is_searched(const struct lm_space *space, const struct lm_opt *opt)
{
    for (size_t i = 0; i < space->count; i++)
        if (space->params[i].opt == opt)
            return true;
    return false;
}

static bool is_default(const struct lm_opt *opt, const void *config, const void *defaults)
{
    struct lm_buf here = { 0 }, there = { 0 };
    yaml_row(opt, config, &here);
    yaml_row(opt, defaults, &there);
    const bool same = lm_str_eq(lm_buf_str(&here), lm_buf_str(&there));
    lm_buf_release(&here);
    lm_buf_release(&there);
    return same;
}

void lm_tune_yaml(const struct lm_space *space, const struct lm_tune_target *target,
                  const struct lm_tune_result *result, struct lm_buf *ret)
{
    const struct lm_opt_table *table = target->options;
    struct lm_arena arena = { 0 };
    void *defaults = lm_arena_alloc(&arena, table->config_bytes);
    lm_opt_defaults(table, defaults);
    lm_buf_printf(ret, "# trial %llu of %zu: held-out loss %.4f after %llu steps\n%s:\n",
                  (unsigned long long)result->best, result->trials, result->heldout_loss,
                  (unsigned long long)result->steps, table->name);
    for (size_t i = 0; i < space->count; i++)
        lm_buf_printf(ret, "  %s: %s\n", space->params[i].opt->name, result->setting.values[i]);
    bool first = true;
    for (size_t i = 0; i < table->len; i++) {
        const struct lm_opt *opt = &table->rows[i];
        if (opt->neutral || is_searched(space, opt) || is_default(opt, target->base, defaults))
            continue;
        if (first)
            lm_buf_puts(ret, "  # as they were for all trials\n");
        first = false;
        yaml_row(opt, target->base, ret);
    }
    lm_arena_release(&arena);
}

static enum lm_rc write_yaml(const struct lm_space *space, const struct lm_tune_target *target,
                             const struct lm_tune_result *result, const char *out_dir, struct lm_err *err)
{
    LM_FREE char *path = lm_path_join(out_dir, "best.yaml");
    struct lm_buf yaml = { 0 };
    lm_tune_yaml(space, target, result, &yaml);
    const enum lm_rc rc = lm_file_write(path, lm_buf_str(&yaml), err);
    lm_buf_release(&yaml);
    return rc;
}

static enum lm_rc copy_record(const char *work_dir, const char *out_dir, struct lm_err *err)
{
    LM_FREE char *curves = lm_path_join(work_dir, "curves"), *to = lm_path_join(out_dir, "curves");
    LM_FREE char *from = lm_path_join(work_dir, "trials.jsonl"),
                 *record = lm_path_join(out_dir, "trials.jsonl");
    struct lm_file_list list = { 0 };
    enum lm_rc rc = lm_dir_make(to, err);
    if (rc == LM_OK)
        rc = lm_file_copy(from, record, err);
    if (rc == LM_OK)
        rc = lm_file_walk(curves, &list, err);
    for (size_t i = 0; rc == LM_OK && i < list.len; i++) {
        LM_FREE char *file = lm_path_join(to, list.items[i].relative);
        rc = lm_file_copy(list.items[i].path, file, err);
    }
    lm_file_list_release(&list);
    return rc;
}

/* The best trial is at its last step: this loads its checkpoint and writes. */
static enum lm_rc write_model(const struct lm_space *space, const struct lm_tune_target *target,
                              const struct lm_tune_result *result, const char *work_dir, const char *out_dir,
                              struct lm_arena *arena, struct lm_err *err)
{
    void *config = lm_arena_alloc(arena, target->options->config_bytes);
    memcpy(config, target->base, target->options->config_bytes);
    LM_TRY(lm_setting_apply(space, &result->setting, config, arena, err));
    const char *work = lm_arena_printf(arena, "%s/%04llu", work_dir, (unsigned long long)result->best);
    const char *out = lm_arena_printf(arena, "%s/model", out_dir);
    struct lm_buf metrics = { 0 };
    const enum lm_rc rc = target->train(target->state, config, NULL, work, out, &metrics, err);
    lm_buf_release(&metrics);
    return rc;
}

enum lm_rc lm_tune_write(const struct lm_tune_config *config, const struct lm_space *space,
                         const struct lm_tune_target *target, const struct lm_tune_result *result,
                         const char *work_dir, const char *out_dir, struct lm_arena *arena,
                         struct lm_buf *metrics, struct lm_err *err)
{
    struct lm_ranks *ranks = lm_tune_ranks(target);
    enum lm_rc rc = LM_OK;
    if (ranks->rank == 0)
        rc = lm_dir_make(out_dir, err);
    if (ranks->rank == 0 && rc == LM_OK)
        rc = copy_record(work_dir, out_dir, err);
    if (ranks->rank == 0 && rc == LM_OK)
        rc = write_yaml(space, target, result, out_dir, err);
    LM_TRY(lm_ranks_agree(ranks, rc, err));
    if (config->keep_model)
        LM_TRY(write_model(space, target, result, work_dir, out_dir, arena, err));
    lm_buf_putc(metrics, '{');
    lm_json_key_int(metrics, "trials", (int64_t)result->trials);
    lm_json_key_int(metrics, "failed", (int64_t)result->failed);
    lm_json_key_int(metrics, "best", (int64_t)result->best);
    lm_json_key(metrics, "settings");
    lm_setting_to_json(space, &result->setting, metrics);
    lm_json_key_num(metrics, "heldout_loss", result->heldout_loss);
    lm_json_key_num(metrics, "heldout_bits_per_byte", result->heldout_bits_per_byte);
    lm_json_key_num(metrics, "baseline_heldout_loss", result->baseline_loss);
    lm_json_key_int(metrics, "baseline_step", (int64_t)result->baseline_step);
    lm_buf_putc(metrics, '}');
    return LM_OK;
}
