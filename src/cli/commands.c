/* cli/commands.c - the table of commands.  To add one: a row here and a file cmd_<name>.c. */

#include "cli/commands.h"

#include "cli/track.h"
#include "corpus/corpus.h"
#include "review/review.h"
#include "serve/server.h"
#include "token/grow.h"
#include "token/tokenizer.h"
#include "train/train.h"
#include "train/tune.h"

#define ANY LM_CLI_ARGS_MAX

// clang-format off
const struct lm_command lm_commands[] = {
    { "init", "[DIR]", "start a project: loom.yaml and .loom/", NULL,
      { NULL }, 0, 1, NULL, lm_cmd_init },
    { "run", "[STAGE...]", "make what loom.yaml declares, only what changed",
      "Without STAGE all stages; with it those and what they need.  A killed run goes on where it was.",
      { &lm_run_options_table, &lm_track_options_table }, 0, 64, NULL, lm_cmd_run, true },
    { "status", "", "which stages are made, and where their artifacts are", NULL,
      { NULL }, 0, 0, NULL, lm_cmd_status },
    { "collect", "SOURCE... --out=DIR", "documents from folders and files",
      "Reads HTML, text, Markdown and JSONL (plain, .gz, .zst); writes documents.jsonl.zst.",
      { &lm_source_options, &lm_cli_out_options }, 1, ANY, NULL, lm_cmd_collect },
    { "prepare", "IN... --out=DIR", "clean, filter, anonymise, de-duplicate documents",
      "Writes documents.jsonl.zst, removed.jsonl (every removal with reason and evidence) and report.json.",
      { &lm_prepare_options, &lm_cli_out_options }, 1, ANY, NULL, lm_cmd_prepare },
    { "pairs", "IN... --out=DIR", "question-answer pairs from the structure of documents", NULL,
      { &lm_pairs_options, &lm_cli_out_options }, 1, ANY, NULL, lm_cmd_pairs },
    { "tokenizer", "ACTION ...", "train tokenizers, use and convert those of others", NULL,
      { &lm_tokenizer_options, &lm_tokenizer_path_options, &lm_grow_options, &lm_tokenizer_encode_options,
        &lm_tokenizer_compare_options }, 1, ANY, lm_tokenizer_actions, NULL },
    { "tokens", "ACTION ...", "token shards and the token table", NULL,
      { &lm_tokens_options, &lm_tokens_path_options }, 1, ANY, lm_tokens_actions, NULL },
    { "model", "ACTION ...", "bring models in, look into them, write them in other forms",
      "A MODEL is a GGUF file or a Hugging Face folder.",
      { &lm_model_cli_options }, 1, LM_CLI_ARGS_MAX, lm_model_actions, NULL },
    { "ngram", "ACTION ...", "how usual texts are, by an n-gram model of trusted ones",
      "The model filters documents (prepare --quality-model) and shows when new texts read otherwise.",
      { &lm_ngram_options }, 1, ANY, lm_ngram_actions, NULL },
    { "pretrain", "--tokens=DIR --tokenizer=DIR --out=DIR", "train a model from scratch",
      "Stopped or killed, the same command goes on from the newest checkpoint (in OUT.work) to the same bytes.\n"
      "mpirun -n N loom pretrain ... shares the work among N processes; the bytes are those of one.",
      { &lm_pretrain_options, &lm_pretrain_path_options, &lm_track_options_table }, 0, 0, NULL, lm_cmd_pretrain },
    { "finetune", "--model=DIR --pairs=FILE --out=DIR", "fine-tune a model on question-answer pairs",
      "Stopped or killed, the same command goes on from the newest checkpoint (in OUT.work) to the same bytes.\n"
      "mpirun -n N loom finetune ... shares the work among N processes; the bytes are those of one.",
      { &lm_finetune_options, &lm_finetune_path_options, &lm_track_options_table }, 0, 0, NULL, lm_cmd_finetune },
    { "tune", "pretrain|finetune --try NAME=VALUES... --out=DIR", "search for settings: many trials, the best go on",
      "Successive halving on the held-out loss.  What is not searched is as loom.yaml and the flags of the stage say.\n"
      "Writes trials.jsonl, tune.html, best.yaml and model/.  Stopped or killed, the same command goes on.\n"
      "mpirun -n N loom tune ... shares every trial among N processes.",
      { &lm_tune_options, &lm_tune_path_options, &lm_track_options_table }, 1, 1, lm_tune_actions, .takes_project = true },
    { "track", "", "send to trackers what a run could not", "Exit 99 when nothing is missing.",
      { NULL }, 0, 0, NULL, lm_cmd_track },
    { "privacy", "ACTION ...", "what training with noise costs, and how much noise a promise needs",
      "A unit joins a step by itself with probability --rate; noise is in clipping norms; neighbours differ by one unit.",
      { &lm_privacy_options }, 1, 4, lm_privacy_actions, NULL },
    { "generate", "MODEL --prompt=TEXT", "let a model continue or answer a text", NULL,
      { &lm_generate_options }, 1, 1, NULL, lm_cmd_generate },
    { "embed", "ENCODER", "lines of text (stdin) to vectors, with a BERT model",
      "One line of numbers for each line of text, as sentence-transformers computes them.",
      { &lm_embed_options }, 1, 1, NULL, lm_cmd_embed },
    { "review", "MODEL --tokens=DIR --out=DIR", "score a model and decide its gates",
      "Writes review.json, answers.jsonl and report.html.  Exit 3 when a gate does not pass.",
      { &lm_review_options, &lm_review_path_options }, 1, 1, NULL, lm_cmd_review },
    { "score", "METRIC --hyp=FILE --ref=FILE...", "score texts against references",
      "Prints the score with its signature; scores with different signatures are not to be compared.",
      { &lm_score_options }, 1, 1, NULL, lm_cmd_score },
    { "registry", "ACTION ...", "versions of models, aliases, rollback, model cards", NULL,
      { &lm_registry_cli_options }, 1, 3, lm_registry_actions, NULL },
    { "serve", "", "answer over HTTPS: OpenAI API and role routes", NULL,
      { &lm_serve_options, &lm_serve_cli_options }, 0, 0, NULL, lm_cmd_serve },
    { "users", "ACTION ...", "who may ask", NULL,
      { &lm_users_options }, 1, 4, lm_users_actions, NULL },
    { "keys", "ACTION ...", "API keys", NULL,
      { &lm_keys_options }, 1, 4, lm_keys_actions, NULL },
    { "policy", "ACTION ...", "rules: check them, try them", NULL,
      { &lm_policy_options }, 1, 4, lm_policy_actions, NULL },
    { "agreement", "ACTION ...", "user agreements and who accepted them", NULL,
      { NULL }, 1, 4, lm_agreement_actions, NULL },
    { "audit", "ACTION ...", "the tamper-evident log", NULL,
      { &lm_audit_options }, 1, 2, lm_audit_actions, NULL },
    { "trace", "ANSWER-ID", "from an answer back to documents",
      "answer -> decision -> model -> what made it -> documents; every artifact on the way is verified.",
      { NULL }, 1, 1, NULL, lm_cmd_trace },
    { "feedback", "ACTION ...", "what users said, as training pairs", NULL,
      { &lm_feedback_options }, 1, 2, lm_feedback_actions, NULL },
    { "bench", "ACTION ...", "what this machine could do at best, and what a model gets of it",
      "Prints CSV: bench,case,value,unit,runs.  --threads=N for other numbers of threads.",
      { &lm_bench_options }, 1, 2, lm_bench_actions, NULL },
    { "doctor", "", "what this machine offers and what is missing", NULL,
      { NULL }, 0, 0, NULL, lm_cmd_doctor },
    { "help", "[COMMAND]", "help, manual page, shell completion", NULL,
      { &lm_help_options }, 0, 1, NULL, lm_cmd_help },
};
// clang-format on
const size_t lm_command_count = sizeof(lm_commands) / sizeof(lm_commands[0]);

const struct lm_command *lm_command_find(const char *name)
{
    for (size_t i = 0; i < lm_command_count; i++)
        if (strcmp(lm_commands[i].name, name) == 0)
            return &lm_commands[i];
    return NULL;
}

const char *lm_command_nearest(const char *name)
{
    const char *best = NULL;
    size_t distance = 3;   // farther ones are no typing errors
    for (size_t i = 0; i < lm_command_count; i++)
        if (lm_str_distance(lm_commands[i].name, name) < distance) {
            best = lm_commands[i].name;
            distance = lm_str_distance(best, name);
        }
    return best;
}
