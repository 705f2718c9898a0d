/* cli/snapshot.c - the models that a run left on its way (pretrain and finetune, --snapshot-every).
 *
 *     OUT/snapshots/step-0000000500/             of a run that has ended
 *     OUT.work/<recipe>-snapshots/step-.../      of one that goes on */

#include "cli/cli.h"

#include "base/file.h"

#include <stdlib.h>

/* The folder of a snapshot, by the file that is in each: "[<recipe>-snapshots/]step-0000000500". */
static bool snapshot_of(const char *relative, struct lm_str *ret)
{
    const struct lm_str path = lm_str(relative), file = LM_STR("/config.json");
    if (!lm_str_ends(path, file))
        return false;
    *ret = (struct lm_str){ path.ptr, path.len - file.len };
    for (size_t i = 0; i < ret->len; i++)   // those that are being written end in .tmp
        if (ret->ptr[i] == '.')
            return false;
    return true;
}

static struct lm_str name_of(struct lm_str folder)
{
    size_t at = folder.len;
    while (at > 0 && folder.ptr[at - 1] != '/')
        at--;
    return (struct lm_str){ folder.ptr + at, folder.len - at };
}

/* -1: it is no name of a snapshot. */
static int64_t step_of(struct lm_str name)
{
    const struct lm_str start = LM_STR("step-");
    int64_t step;
    if (!lm_str_starts(name, start))
        return -1;
    return lm_str_to_i64((struct lm_str){ name.ptr + start.len, name.len - start.len }, &step) ? step : -1;
}

/* "500", "step-500", "step-0000000500"; INT64_MAX: "newest".  -1: none of these. */
static int64_t wanted_step(const char *wanted)
{
    int64_t step;
    if (strcmp(wanted, "newest") == 0)
        return INT64_MAX;
    return lm_str_to_i64(lm_str(wanted), &step) && step >= 0 ? step : step_of(lm_str(wanted));
}

static enum lm_rc fail_absent(const char *dir, const char *wanted, const struct lm_buf *steps,
                              struct lm_err *err)
{
    if (steps->len == 0)
        return lm_fail(err, LM_ENOENT,
                       "'%s' holds no snapshots; pretrain and finetune keep them with --snapshot-every", dir);
    return lm_fail(err, LM_ENOENT, "there is no snapshot '%s' in '%s'; its steps are %s, or say newest",
                   wanted, dir, steps->ptr);
}

static void add_step(struct lm_buf *steps, int64_t step)
{
    enum { TOLD_BYTES_MAX = 300 };
    if (steps->len < TOLD_BYTES_MAX)
        lm_buf_printf(steps, "%s%lld", steps->len ? ", " : "", (long long)step);
    else if (steps->ptr[steps->len - 1] != '.')
        lm_buf_puts(steps, ", ...");
}

/* In `dir`, which is there. */
static enum lm_rc find(struct lm_cli *cli, const char *dir, const char *wanted, const char **ret,
                       struct lm_err *err)
{
    const int64_t want = wanted_step(wanted);
    struct lm_file_list files = { 0 };
    struct lm_buf steps = { 0 };
    int64_t best = -1;
    enum lm_rc rc = lm_file_walk(dir, &files, err);
    for (size_t i = 0; rc == LM_OK && i < files.len; i++) {
        struct lm_str folder;
        if (!snapshot_of(files.items[i].relative, &folder))
            continue;
        const int64_t step = step_of(name_of(folder));
        if (step < 0)
            continue;
        add_step(&steps, step);
        if (step == want || (want == INT64_MAX && step > best)) {
            best = step;
            *ret = lm_arena_printf(&cli->arena, "%s/%.*s", dir, (int)folder.len, folder.ptr);
        }
    }
    if (rc == LM_OK && best < 0)
        rc = fail_absent(dir, wanted, &steps, err);
    lm_buf_release(&steps);
    lm_file_list_release(&files);
    return rc;
}

enum lm_rc lm_cli_snapshot(struct lm_cli *cli, const char *model, const char *wanted, const char **ret,
                           struct lm_err *err)
{
    const char *dirs[] = { lm_arena_printf(&cli->arena, "%s/snapshots", model),
                           lm_arena_printf(&cli->arena, "%s.work", model) };
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        if (lm_path_exists(dirs[i]))
            return find(cli, dirs[i], wanted, ret, err);
    if (lm_path_exists(model))
        return lm_fail(err, LM_ENOENT,
                       "'%s' has no snapshots; pretrain and finetune keep them with --snapshot-every", model);
    return lm_fail(err, LM_ENOENT, "there is neither a model '%s' nor a run that makes it ('%s')", model,
                   dirs[1]);
}
