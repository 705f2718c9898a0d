#ifndef LM_CLI_CLI_H
#define LM_CLI_CLI_H
/* cli/cli.h - what a command sees of its invocation.
 *
 * A command is one row in cli/commands.c and one file cli/cmd_<name>.c.  Its options are tables
 * (base/option.h); main parses them, so a command finds finished config structs and positional arguments.
 *
 * Results go to stdout, messages to stderr.  With --json the last line of stdout is one compact object: the
 * command's `result`, or {"error":{...}}.  Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a gate refused,
 * 99 nothing to do, 128 + signal when stopped. */

#include "base/option.h"
#include "base/str.h"

#include <stdio.h>

struct lm_db;

enum { LM_CLI_TABLES_MAX = 6, LM_CLI_ARGS_MAX = 4096 };

/* Options every command takes. */
struct lm_cli_globals {
    bool json, quiet, help;
    int64_t threads;
    const char *project;   // folder of loom.yaml and .loom
    const char *config;    // YAML file whose sections fill the command's tables before the flags do
};
extern const struct lm_opt_table lm_cli_globals_options;

/* An option that was given on the command line. */
struct lm_cli_flag {
    const struct lm_opt *opt;
    void *config;   // the struct it went into
};

struct lm_cli {
    struct lm_cli_globals globals;
    void *config[LM_CLI_TABLES_MAX];   // one struct for each table of the command, in its order
    const char **args;                 // positional
    size_t arg_count;
    struct lm_cli_flag *flags;
    size_t flag_count;
    const char *config_file;   // whose sections filled the tables, NULL: none
    struct lm_arena arena;     // lives as long as the invocation
    struct lm_buf result;      // JSON object for --json; empty: {}
    bool result_stands;   // printed even though the command fails: it tells of each part what became of it
};

/* An action of a command that has several ("loom users add ..."); the first argument names it. */
struct lm_cli_action {
    const char *name, *args, *help;
    size_t args_min, args_max;   // after the action's name
    /* One of the two; run_db gets the project database, open. */
    enum lm_rc (*run)(struct lm_cli *cli, struct lm_err *err);
    enum lm_rc (*run_db)(struct lm_cli *cli, struct lm_db *db, struct lm_err *err);
    const struct lm_opt_table
        *table;   // options of this action alone, behind those of the command; may be NULL
};

struct lm_command {
    const char *name, *args, *summary, *details;
    const struct lm_opt_table *tables[LM_CLI_TABLES_MAX];   // ends at the first NULL
    size_t args_min, args_max;
    const struct lm_cli_action *actions;   // ends at a NULL name; NULL: `run` is called
    enum lm_rc (*run)(struct lm_cli *cli, struct lm_err *err);
    bool takes_project;   // without --config the sections of the project's loom.yaml fill the tables
};

/* --out, the folder a stage command makes. */
struct lm_cli_out_config {
    const char *out;
};
extern const struct lm_opt_table lm_cli_out_options;

extern const struct lm_command lm_commands[];
extern const size_t lm_command_count;
const struct lm_command *lm_command_find(const char *name);
const char *lm_command_nearest(const char *name);

/* ---- cli/help.c: all of it made from the tables ---- */
void lm_help_overview(FILE *out);
void lm_help_command(const struct lm_command *command, FILE *out);
void lm_help_manual(FILE *out);       // loom(1), for `loom help --man`
void lm_help_completion(FILE *out);   // bash completion

/* ---- cli/paths.c: helpers for commands ---- */

/* <project>/.loom/<name>, made if need be; in the arena. */
enum lm_rc lm_cli_state(struct lm_cli *cli, const char *name, const char **ret, struct lm_err *err);

/* The project database with every module's tables; close it. */
enum lm_rc lm_cli_db(struct lm_cli *cli, struct lm_db **ret, struct lm_err *err);

/* Who runs this, for the histories: $SUDO_USER, $USER or "unknown". */
const char *lm_cli_who(void);

/* Runs a stage outside a project: writes below OUT.tmp and renames it to OUT; an existing OUT is refused
 * unless it is an empty folder.  work_dir (checkpoints) is OUT.work and stays after a stop, for resuming. */
struct lm_cli_out {
    const char *final_dir, *out_dir, *work_dir;
};
struct lm_cli_out lm_cli_out_of(struct lm_cli *cli, const char *out);   // only the names
enum lm_rc lm_cli_out_begin(struct lm_cli *cli, const char *out, struct lm_cli_out *ret, struct lm_err *err);
enum lm_rc lm_cli_out_commit(const struct lm_cli_out *out, struct lm_err *err);

/* The folder of a snapshot of the run that has made, or is making, the model: `wanted` is a step, the name of
 * its folder, or "newest".  LM_ENOENT says which there are. */
enum lm_rc lm_cli_snapshot(struct lm_cli *cli, const char *model, const char *wanted, const char **ret,
                           struct lm_err *err);

/* The tokenizer of a tokenizer.json, of the folder that holds it, or of a GGUF file. */
struct lm_tokenizer;
enum lm_rc lm_cli_tokenizer(const char *path, struct lm_tokenizer **ret, struct lm_err *err);

/* ---- cli/lines.c: commands as filters ---- */

/* Appends the output line for one line of input, without its LF; ret comes empty. */
typedef enum lm_rc lm_cli_line(void *user, struct lm_str line, struct lm_buf *ret, struct lm_err *err);

/* Prints what `make` makes of each line of standard input, in order, with a thread for each user: what `make`
 * gets is used by one thread at a time.  An error names the line. */
enum lm_rc lm_cli_lines(lm_cli_line *make, void *const *users, size_t user_count, uint64_t *ret_count,
                        struct lm_err *err);

/* Decimal ids: read with anything between them that is no digit, appended; written with one separator. */
struct lm_tokens;
enum lm_rc lm_cli_ids_read(struct lm_str text, struct lm_tokens *ret, struct lm_err *err);
void lm_cli_ids_write(const struct lm_tokens *tokens, char separator, struct lm_buf *ret);

#endif
