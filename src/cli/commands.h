#ifndef LM_CLI_COMMANDS_H
#define LM_CLI_COMMANDS_H
/* cli/commands.h - what the command files offer to the table in commands.c. */

#include "cli/cli.h"

#define LM_CMD(name) enum lm_rc lm_cmd_##name(struct lm_cli *cli, struct lm_err *err)
LM_CMD(init);
LM_CMD(run);
LM_CMD(status);
LM_CMD(collect);
LM_CMD(prepare);
LM_CMD(pairs);
LM_CMD(pretrain);
LM_CMD(finetune);
LM_CMD(embed);
LM_CMD(generate);
LM_CMD(review);
LM_CMD(score);
LM_CMD(serve);
LM_CMD(trace);
LM_CMD(track);
LM_CMD(doctor);
LM_CMD(help);
#undef LM_CMD

extern const struct lm_cli_action lm_tokens_actions[], lm_tokenizer_actions[], lm_model_actions[],
    lm_registry_actions[], lm_users_actions[], lm_keys_actions[], lm_policy_actions[], lm_agreement_actions[],
    lm_audit_actions[], lm_bench_actions[], lm_feedback_actions[], lm_privacy_actions[], lm_ngram_actions[],
    lm_tune_actions[];

extern const struct lm_opt_table lm_run_options_table, lm_tokens_path_options, lm_tokenizer_path_options,
    lm_pretrain_path_options, lm_finetune_path_options, lm_embed_options, lm_bench_options,
    lm_generate_options, lm_model_cli_options, lm_review_path_options, lm_score_options,
    lm_registry_cli_options, lm_users_options, lm_keys_options, lm_policy_options, lm_audit_options,
    lm_feedback_options, lm_serve_cli_options, lm_privacy_options, lm_ngram_options, lm_tune_path_options,
    lm_help_options, lm_tokenizer_encode_options, lm_tokenizer_compare_options;

/* cmd_tokenizer_compare.c, actions of `loom tokenizer`; dir: of --out. */
enum lm_rc lm_tokenizer_compare_run(struct lm_cli *cli, struct lm_err *err);
enum lm_rc lm_tokenizer_convert_run(struct lm_cli *cli, const char *dir, struct lm_err *err);

/* cmd_tokenizer_encode.c; shape: what lm_tokenizer_encode_options fill. */
struct lm_tokenizer;
struct lm_cli_encoding;
enum lm_rc lm_cli_encoding_new(const void *shape, const struct lm_tokenizer *t, bool allow_special,
                               struct lm_cli_encoding **ret, struct lm_err *err);
void lm_cli_encoding_free(struct lm_cli_encoding *w);
lm_cli_line lm_cli_encode_line;   // user: the encoding; a line is a JSON string
void lm_cli_encode_text(struct lm_cli *cli, struct lm_cli_encoding *w, struct lm_str text);
/* The arguments are files: a line of ids, or of their number, for each. */
enum lm_rc lm_cli_encode_files(struct lm_cli *cli, struct lm_cli_encoding *w, struct lm_err *err);

/* cmd_train.c.  Ranks that share a run are one command: rank 0 speaks and writes.  To be ended by
 * lm_ranks_close. */
struct lm_ranks;
enum lm_rc lm_cli_join(struct lm_cli *cli, struct lm_ranks *ranks, struct lm_err *err);

enum lm_rc lm_bench_tokenizer(struct lm_cli *cli, struct lm_err *err);   // cmd_bench_tokenizer.c

#endif
