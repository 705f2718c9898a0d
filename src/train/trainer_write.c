/* What a run leaves: the model's folder, its log, its summary. */
#include "train/trainer.h"

#include "base/file.h"
#include "base/json.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void lm_trainer_result_release(struct lm_trainer_result *r)
{
    free(r->snapshots);
    lm_buf_release(&r->samples);
    lm_buf_release(&r->log);
    lm_buf_release(&r->privacy);
}

enum lm_rc lm_tokenizer_files_copy(const char *from_dir, const char *to_dir, struct lm_err *err)
{
    static const char *const files[] = { "tokenizer.json", "tokenizer_config.json", "chat_template.jinja" };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        LM_FREE char *from = lm_path_join(from_dir, files[i]), *to = lm_path_join(to_dir, files[i]);
        if (i == 0 || lm_path_exists(from))
            LM_TRY(lm_file_copy(from, to, err));
    }
    return LM_OK;
}

/* Every file below `from` also below `to`: linked where the file system can, else copied. */
static enum lm_rc link_tree(const char *from, const char *to, struct lm_err *err)
{
    struct lm_file_list files = { 0 };
    enum lm_rc rc = lm_file_walk(from, &files, err);
    for (size_t i = 0; i < files.len && rc == LM_OK; i++) {
        LM_FREE char *path = lm_path_join(to, files.items[i].relative);
        char *slash = strrchr(path, '/');
        *slash = 0;
        rc = lm_dir_make(path, err);
        *slash = '/';
        if (rc == LM_OK && link(files.items[i].path, path) != 0)
            rc = lm_file_copy(files.items[i].path, path, err);
    }
    lm_file_list_release(&files);
    return rc;
}

static enum lm_rc write_lines(const char *dir, const char *name, const struct lm_buf *lines,
                              struct lm_err *err)
{
    LM_FREE char *path = lm_path_join(dir, name);
    return lm_file_write(path, lm_buf_str(lines), err);
}

enum lm_rc lm_trainer_write(const struct lm_llama *model, const struct lm_trainer_result *result,
                            const char *tokenizer_dir, const char *out_dir, struct lm_buf *metrics,
                            struct lm_err *err)
{
    LM_TRY(lm_dir_make(out_dir, err));
    LM_TRY(lm_llama_save(model, out_dir, err));
    LM_TRY(lm_tokenizer_files_copy(tokenizer_dir, out_dir, err));
    if (result->privacy.len > 0) {
        LM_FREE char *privacy = lm_path_join(out_dir, "privacy.json");
        LM_TRY(lm_file_write(privacy, lm_buf_str(&result->privacy), err));
        lm_json_key(metrics, "privacy");
        lm_buf_add_str(metrics, lm_buf_str(&result->privacy));
    }
    LM_TRY(write_lines(out_dir, "metrics.jsonl", &result->log, err));
    if (result->samples.len > 0)
        LM_TRY(write_lines(out_dir, "samples.jsonl", &result->samples, err));
    if (result->snapshots && lm_path_exists(result->snapshots)) {
        LM_FREE char *snapshots = lm_path_join(out_dir, "snapshots");
        LM_TRY(link_tree(result->snapshots, snapshots, err));
    }
    lm_json_key_int(metrics, "parameters", (int64_t)model->parameter_count);
    lm_json_key_int(metrics, "steps", (int64_t)result->steps);
    if (result->steps_made != result->steps)
        lm_json_key_int(metrics, "steps_made", (int64_t)result->steps_made);
    if (result->spikes.rollbacks > 0)
        lm_json_key_int(metrics, "rollbacks", (int64_t)result->spikes.rollbacks);
    lm_json_key_int(metrics, "tokens", (int64_t)result->tokens);
    if (result->privacy.len == 0)
        lm_json_key_num(metrics, "loss", result->loss);
    lm_json_key_num(metrics, "heldout_loss", result->heldout_loss);
    lm_json_key_num(metrics, "heldout_bits_per_byte", result->heldout_bits_per_byte);
    return LM_OK;
}
