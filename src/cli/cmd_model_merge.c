/* cli/cmd_model_merge.c - a model with adapters of PEFT put into its weights. */

#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "cli/model.h"
#include "train/lora.h"
#include "train/trainer.h"

static enum lm_rc merge_one(struct lm_llama *model, const char *dir, struct lm_err *err)
{
    struct lm_lora lora = { 0 };
    struct lm_gemm *gemm = NULL;
    LM_TRY(lm_lora_load(&lora, model, dir, err));
    enum lm_rc rc = lm_gemm_new(&gemm, err);
    if (rc == LM_OK)
        rc = lm_lora_merge(&lora, gemm, err);
    if (rc == LM_OK)
        lm_say("merged %s: rank %lld, %zu parameters", dir, (long long)lora.config.rank, lora.count);
    lm_gemm_free(gemm);
    lm_lora_release(&lora);
    return rc;
}

enum lm_rc lm_model_merge(struct lm_cli *cli, struct lm_err *err)
{
    const struct lm_model_cli_config *o = cli->config[0];
    struct lm_cli_out out;
    struct lm_llama model = { 0 };
    LM_TRY(lm_cli_out_begin(cli, o->out, &out, err));
    LM_TRY(lm_llama_load(&model, cli->args[0], err));
    enum lm_rc rc = LM_OK;
    for (size_t i = 1; rc == LM_OK && i < cli->arg_count; i++)
        rc = merge_one(&model, cli->args[i], err);
    if (rc == LM_OK)
        rc = lm_llama_save(&model, out.out_dir, err);
    if (rc == LM_OK)
        rc = lm_tokenizer_files_copy(cli->args[0], out.out_dir, err);
    lm_llama_release(&model);
    if (rc == LM_OK)
        rc = lm_cli_out_commit(&out, err);
    if (rc == LM_OK)
        lm_say("made %s", out.final_dir);
    lm_buf_putc(&cli->result, '{');
    lm_json_key_int(&cli->result, "adapters", (int64_t)cli->arg_count - 1);
    lm_buf_putc(&cli->result, '}');
    return rc;
}
