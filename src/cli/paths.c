/* cli/paths.c - where commands put things. */

#include "base/file.h"
#include "cli/cli.h"
#include "flow/registry.h"
#include "govern/govern.h"
#include "model/model.h"
#include "monitor/feedback.h"

#include <stdlib.h>
#include <unistd.h>

enum lm_rc lm_cli_state(struct lm_cli *cli, const char *name, const char **ret, struct lm_err *err)
{
    const char *dir = lm_arena_printf(&cli->arena, "%s/.loom", cli->globals.project);
    LM_TRY(lm_dir_make(dir, err));
    *ret = lm_arena_printf(&cli->arena, "%s/%s", dir, name);
    return LM_OK;
}

enum lm_rc lm_cli_db(struct lm_cli *cli, struct lm_db **ret, struct lm_err *err)
{
    const char *path;
    struct lm_db *db = NULL;
    LM_TRY(lm_cli_state(cli, "loom.db", &path, err));
    LM_TRY(lm_db_open(path, &db, err));
    enum lm_rc rc = lm_users_schema(db, err);
    if (rc == LM_OK)
        rc = lm_feedback_schema(db, err);
    if (rc == LM_OK)
        rc = lm_registry_schema(db, err);
    if (rc != LM_OK) {
        lm_db_close(db);
        return rc;
    }
    *ret = db;
    return LM_OK;
}

const char *lm_cli_who(void)
{
    static const char *const names[] = { "SUDO_USER", "USER", "LOGNAME" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *who = getenv(names[i]);
        if (who && *who)
            return who;
    }
    return "unknown";
}

enum lm_rc lm_cli_tokenizer(const char *path, struct lm_tokenizer **ret, struct lm_err *err)
{
    if (lm_str_ends(lm_str(path), LM_STR(".gguf")))
        return lm_model_tokenizer(path, ret, err);
    return lm_tokenizer_load(path, ret, err);
}

static const struct lm_opt out_rows[] = {
    { "out", LM_OPT_STRING, LM_OPT_AT(struct lm_cli_out_config, out), NULL, .help = "folder to make",
      .required = true },
};
const struct lm_opt_table lm_cli_out_options = LM_OPT_TABLE("output", struct lm_cli_out_config, out_rows);

struct lm_cli_out lm_cli_out_of(struct lm_cli *cli, const char *out)
{
    return (struct lm_cli_out){ .final_dir = lm_arena_strdup(&cli->arena, out),
                                .out_dir = lm_arena_printf(&cli->arena, "%s.tmp", out),
                                .work_dir = lm_arena_printf(&cli->arena, "%s.work", out) };
}

enum lm_rc lm_cli_out_begin(struct lm_cli *cli, const char *out, struct lm_cli_out *ret, struct lm_err *err)
{
    if (!out)
        return lm_fail(err, LM_EINVAL, "--out is missing: it names the folder to make");
    /* rmdir only succeeds on an empty folder, which is as good as none. */
    if (lm_path_exists(out) && rmdir(out) != 0)
        return lm_fail(err, LM_EEXIST,
                       "'%s' exists and is not an empty folder; give another --out or remove it", out);
    *ret = lm_cli_out_of(cli, out);
    LM_TRY(lm_path_remove(ret->out_dir, err));
    return lm_dir_make(ret->out_dir, err);
}

enum lm_rc lm_cli_out_commit(const struct lm_cli_out *out, struct lm_err *err)
{
    LM_TRY(lm_path_rename(out->out_dir, out->final_dir, err));
    return lm_path_remove(out->work_dir, err);
}
