#include "train/tune.h"

#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"

#include <math.h>
#include <stdlib.h>

// clang-format off
#define AT(field) LM_OPT_AT(struct lm_tune_config, field)
static const struct lm_opt rows[] = {
    { "try",           LM_OPT_LIST, AT(searched),      NULL,   .help = "NAME=VALUES, repeated: log:1e-4..1e-2, 0..0.2, 64..256/32 or a,b,c" },
    { "space",         LM_OPT_STRING, AT(space),       NULL,   .help = "YAML file of names and values, instead" },
    { "trials",        LM_OPT_INT,  AT(trials),        "16",   1, LM_TUNE_TRIALS_MAX, "trials", "settings tried in the first bracket" },
    { "eta",           LM_OPT_INT,  AT(eta),           "3",    2, 64, "", "one of so many goes on to the next rung, which is as much longer" },
    { "rungs",         LM_OPT_INT,  AT(rungs),         "3",    1, LM_TUNE_RUNGS_MAX, "rungs", "where trials are compared; 1: all are trained to the end" },
    { "brackets",      LM_OPT_INT,  AT(brackets),      "1",    1, LM_TUNE_RUNGS_MAX, "brackets", "searches that begin a rung later each, with fewer trials" },
    { "sampling-seed", LM_OPT_INT,  AT(sampling_seed), "1",    0, 9e15, "", "of the settings drawn" },
    { "baseline",      LM_OPT_BOOL, AT(baseline),      "true", .help = "trial 0 is the settings as they are" },
    { "keep-model",    LM_OPT_BOOL, AT(keep_model),    "true", .help = "write the best trial's model, too" },
};
// clang-format on
#undef AT
const struct lm_opt_table lm_tune_options = LM_OPT_TABLE("tune", struct lm_tune_config, rows);

struct trial {
    struct lm_setting setting;
    uint64_t bracket;
    double heldout_loss;   // at the last rung it came to; NAN: failed
    bool out;
};

struct search {
    const struct lm_tune_config *config;
    const struct lm_space *space;
    const struct lm_tune_target *target;
    const char *work_dir;
    struct lm_arena *arena;
    struct trial *trials;
    size_t count;
    struct lm_buf text;           // trials.jsonl
    struct lm_trial_log before;   // of the run that this one goes on from
    size_t replayed;              // records of it
    struct lm_str first_reason;   // of a failure
    size_t failed;
    struct lm_trial_record last;   // best at the last rung; trial UINT64_MAX: none
    struct lm_trial_record baseline;
};

struct lm_ranks *lm_tune_ranks(const struct lm_tune_target *target)
{
    return target->ranks ? target->ranks : &lm_ranks_alone;
}

static bool is_first(const struct search *s)
{
    return lm_tune_ranks(s->target)->rank == 0;
}

/* ---- which trials there are ---- */

/* Bracket b gets so many that all cost about the same. */
static size_t bracket_trials(const struct lm_tune_config *c, uint64_t bracket)
{
    double share = (double)c->rungs / (double)(c->rungs - (int64_t)bracket);
    for (uint64_t i = 0; i < bracket; i++)
        share /= (double)c->eta;
    const double count = ceil((double)c->trials * share - 1e-9);
    return count < 1 ? 1 : (size_t)count;
}

static bool is_there(const struct search *s, const struct lm_setting *setting)
{
    for (size_t i = 0; i < s->count; i++)
        if (lm_setting_same(s->space, &s->trials[i].setting, setting))
            return true;
    return false;
}

/* The next setting that no trial has; false when they are all there, or so many that none was found. */
static bool draw_new(const struct search *s, uint64_t *draw, struct lm_setting *ret)
{
    enum { TRIES_MAX = 1000 };
    for (int i = 0; i < TRIES_MAX; i++) {
        *ret = lm_space_draw(s->space, (uint64_t)s->config->sampling_seed, (*draw)++, s->arena);
        if (!is_there(s, ret))
            return true;
    }
    return false;
}

static void add_trial(struct search *s, const struct lm_setting *setting, uint64_t bracket)
{
    s->trials[s->count++] = (struct trial){ .setting = *setting, .bracket = bracket, .heldout_loss = NAN };
}

static void make_trials(struct search *s)
{
    const struct lm_tune_config *c = s->config;
    size_t want = 0;
    for (uint64_t b = 0; b < (uint64_t)c->brackets; b++)
        want += bracket_trials(c, b);
    s->trials = lm_arena_alloc(s->arena, want * sizeof *s->trials);
    struct lm_setting setting = lm_space_current(s->space, s->target->base, s->arena);
    if (c->baseline)
        add_trial(s, &setting, 0);
    const uint64_t size = lm_space_size(s->space);
    const bool all = c->brackets == 1 && size <= want;   // few enough to try each
    uint64_t draw = 0;
    for (uint64_t b = 0; b < (uint64_t)c->brackets; b++)
        for (size_t end = s->count + bracket_trials(c, b) - (b == 0 && c->baseline); s->count < end;) {
            if (all && draw == size)
                return;
            if (all)
                setting = lm_space_at(s->space, draw++, s->arena);
            else if (!draw_new(s, &draw, &setting))
                break;
            if (!all || !is_there(s, &setting))
                add_trial(s, &setting, b);
        }
}

/* ---- the record ---- */

static void write_head(const struct search *s, struct lm_buf *ret)
{
    const struct lm_tune_config *c = s->config;
    lm_buf_putc(ret, '{');
    lm_json_key_str(ret, "search", lm_str(s->target->options->name));
    lm_json_key_str(ret, "loom", lm_str(lm_version));
    lm_json_key_str(ret, "data", lm_str(s->target->data));
    lm_json_key_int(ret, "trials", (int64_t)s->count);
    lm_json_key_int(ret, "eta", c->eta);
    lm_json_key_int(ret, "rungs", c->rungs);
    lm_json_key_int(ret, "brackets", c->brackets);
    lm_json_key_int(ret, "sampling_seed", c->sampling_seed);
    lm_json_key_bool(ret, "baseline", c->baseline);
    lm_json_key(ret, "space");
    lm_buf_putc(ret, '{');
    for (size_t i = 0; i < s->space->count; i++)
        lm_json_key_str(ret, s->space->params[i].opt->name, lm_str(s->space->params[i].text));
    lm_buf_putc(ret, '}');
    lm_json_key(ret, "base");
    lm_opt_to_json(s->target->options, s->target->base, true, ret);
    lm_buf_putc(ret, '}');
}

static const char *path_in(const struct search *s, const char *name)
{
    return lm_arena_printf(s->arena, "%s/%s", s->work_dir, name);
}

/* The record as an earlier run left it, or a new one; what is of no record would not fit the trials of this
 * run. */
static enum lm_rc open_record(const struct search *s, const char *path, struct lm_str head,
                              struct lm_buf *ret, struct lm_err *err)
{
    if (lm_path_exists(path))
        return lm_file_read(path, LM_TRIAL_LOG_BYTES_MAX, ret, err);
    lm_buf_add_str(ret, head);
    lm_buf_putc(ret, '\n');
    LM_TRY(lm_path_remove(s->work_dir, err));
    LM_TRY(lm_dir_make(path_in(s, "curves"), err));
    return lm_file_write(path, lm_buf_str(ret), err);
}

static enum lm_rc read_before(struct search *s, struct lm_err *err)
{
    const char *path = path_in(s, "trials.jsonl");
    struct lm_ranks *ranks = lm_tune_ranks(s->target);
    struct lm_buf head = { 0 }, old = { 0 };
    write_head(s, &head);
    enum lm_rc rc = is_first(s) ? open_record(s, path, lm_buf_str(&head), &old, err) : LM_OK;
    rc = lm_ranks_agree(ranks, rc, err);
    if (rc == LM_OK)
        rc = lm_ranks_share_text(ranks, &old, err);
    if (rc == LM_OK)
        rc = lm_trial_log_parse((struct lm_str){ lm_arena_strndup(s->arena, old.ptr, old.len), old.len },
                                path, s->arena, &s->before, err);
    if (rc == LM_OK && !lm_str_eq(s->before.head, lm_buf_str(&head)))
        rc = lm_fail(err, LM_EINVAL,
                     "'%s' is of a search with other settings or data; give the same ones to go on with it, "
                     "or remove '%s'",
                     path, s->work_dir);
    if (rc == LM_OK && s->before.len > 0)
        lm_say("tune: goes on after %zu measurements", s->before.len);
    lm_buf_add_str(&s->text, lm_buf_str(&head));
    lm_buf_putc(&s->text, '\n');
    lm_buf_release(&head);
    lm_buf_release(&old);
    return rc;
}

static void take_record(struct search *s, const struct lm_trial_record *r)
{
    struct trial *t = &s->trials[r->trial];
    t->heldout_loss = r->failed ? NAN : r->heldout_loss;
    t->out = r->failed;
    s->failed += r->failed;
    if (r->failed && !s->first_reason.ptr)
        s->first_reason = r->why;
    if (r->trial == 0 && !r->failed)
        s->baseline = *r;
    if (!r->failed && r->rung + 1 == (uint64_t)s->config->rungs &&
        (s->last.trial == UINT64_MAX || r->heldout_loss < s->last.heldout_loss))
        s->last = *r;
}

/* The record of this measurement by the earlier run, if it came so far. */
static enum lm_rc replay(struct search *s, uint64_t trial, uint64_t rung, bool *ret_found, struct lm_err *err)
{
    *ret_found = s->replayed < s->before.len;
    if (!*ret_found)
        return LM_OK;
    const struct lm_trial_record *r = &s->before.records[s->replayed];
    if (r->trial != trial || r->rung != rung)
        return lm_fail(err, LM_EFORMAT,
                       "'%s': line %zu is of trial %llu at rung %llu, where trial %llu at rung %llu was due; "
                       "the file was changed: remove '%s' to search anew",
                       path_in(s, "trials.jsonl"), s->replayed + 2, (unsigned long long)r->trial,
                       (unsigned long long)r->rung, (unsigned long long)trial, (unsigned long long)rung,
                       s->work_dir);
    s->replayed++;
    lm_trial_record_write(r, &s->text);
    take_record(s, r);
    return LM_OK;
}

/* ---- one measurement ---- */

/* What is a result of the settings, and no fault of the world. */
static bool is_failure(enum lm_rc rc)
{
    return rc == LM_EFORMAT || rc == LM_EINVAL || rc == LM_ENOMEM;
}

static const char *trial_dir(const struct search *s, uint64_t trial)
{
    return path_in(s, lm_arena_printf(s->arena, "%04llu", (unsigned long long)trial));
}

static enum lm_rc apply(const struct search *s, const struct lm_setting *setting, void **ret,
                        struct lm_err *err)
{
    *ret = lm_arena_alloc(s->arena, s->target->options->config_bytes);
    memcpy(*ret, s->target->base, s->target->options->config_bytes);
    return lm_setting_apply(s->space, setting, *ret, s->arena, err);
}

static enum lm_rc train(struct search *s, uint64_t trial, struct lm_rung *rung, struct lm_err *err)
{
    void *config;
    struct lm_buf metrics = { 0 };
    const char *dir = trial_dir(s, trial);
    LM_TRY(apply(s, &s->trials[trial].setting, &config, err));
    enum lm_rc rc = s->target->train(s->target->state, config, rung, dir, dir, &metrics, err);
    rc = lm_ranks_settle(lm_tune_ranks(s->target), rc, err);   // a trial that fails does not end the search
    lm_buf_release(&metrics);
    if (rc == LM_OK)
        return lm_fail(err, LM_EIO, "tune: the checkpoints in '%s' are ahead of trials.jsonl; remove '%s'",
                       dir, s->work_dir);
    return rc == LM_ESTOP && rung->reached ? LM_OK : rc;
}

/* Adds a line; the file is the old one or the new one at every moment. */
static enum lm_rc write_record(const struct search *s, const struct lm_trial_record *r,
                               const struct lm_rung *rung, struct lm_err *err)
{
    if (!r->failed)
        LM_TRY(lm_file_write(
            path_in(s, lm_arena_printf(s->arena, "curves/%04llu.jsonl", (unsigned long long)r->trial)),
            lm_buf_str(&rung->log), err));
    return lm_file_write(path_in(s, "trials.jsonl"), lm_buf_str(&s->text), err);
}

static enum lm_rc record(struct search *s, const struct lm_trial_record *r, const struct lm_rung *rung,
                         struct lm_err *err)
{
    lm_trial_record_write(r, &s->text);
    const enum lm_rc rc = is_first(s) ? write_record(s, r, rung, err) : LM_OK;
    LM_TRY(lm_ranks_agree(lm_tune_ranks(s->target), rc, err));
    take_record(s, r);
    if (s->target->told && is_first(s))
        s->target->told(s->target->state, s->work_dir);
    return LM_OK;
}

static void say_outcome(const struct search *s, const struct lm_trial_record *r)
{
    struct lm_buf text = { 0 };
    lm_setting_text(s->space, &s->trials[r->trial].setting, &text);
    if (r->failed)
        lm_say("tune: trial %llu failed: %.*s (%s)", (unsigned long long)r->trial, (int)r->why.len,
               r->why.ptr, text.ptr);
    else
        lm_say("tune: trial %llu: held-out loss %.4f after %llu of %llu steps (%s)",
               (unsigned long long)r->trial, r->heldout_loss, (unsigned long long)r->step,
               (unsigned long long)r->steps, text.ptr);
    lm_buf_release(&text);
}

static struct lm_rung rung_at(const struct lm_tune_config *c, uint64_t rung)
{
    struct lm_rung r = { .part = 1, .parts = 1 };
    for (uint64_t i = rung + 1; i < (uint64_t)c->rungs && r.parts <= UINT32_MAX / (uint64_t)c->eta; i++)
        r.parts *= (uint64_t)c->eta;
    return r;
}

static enum lm_rc measure(struct search *s, uint64_t trial, uint64_t at, struct lm_err *err)
{
    bool found;
    LM_TRY(replay(s, trial, at, &found, err));
    if (found)
        return LM_OK;
    struct lm_rung rung = rung_at(s->config, at);
    struct lm_err why = { 0 };
    enum lm_rc rc = train(s, trial, &rung, &why);
    if (rc == LM_OK || is_failure(rc)) {
        struct lm_buf settings = { 0 };
        lm_setting_to_json(s->space, &s->trials[trial].setting, &settings);
        const struct lm_trial_record r = {
            .trial = trial,
            .bracket = s->trials[trial].bracket,
            .rung = at,
            .failed = rc != LM_OK,
            .step = rung.step,
            .steps = rung.steps,
            .loss = rung.loss,
            .heldout_loss = rung.heldout_loss,
            .heldout_bits_per_byte = rung.heldout_bits_per_byte,
            .why = lm_str(rc == LM_OK ? "" : lm_arena_strdup(s->arena, why.text)),
            .settings = lm_buf_str(&settings),
        };
        rc = record(s, &r, &rung, err);
        if (rc == LM_OK)
            say_outcome(s, &r);
        lm_buf_release(&settings);
    } else if (rc == LM_ESTOP) {
        lm_fail(err, rc,
                "tune: stopped in trial %llu at rung %llu of %lld; the same command goes on from there",
                (unsigned long long)trial, (unsigned long long)at + 1, (long long)s->config->rungs);
    } else {
        lm_fail(err, rc, "tune: trial %llu: %s", (unsigned long long)trial, why.text);
    }
    lm_buf_release(&rung.log);
    return rc;
}

/* ---- rungs ---- */

struct rank {
    double loss;
    uint64_t trial;
};

static int by_loss(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;
    if (x->loss != y->loss)
        return x->loss < y->loss ? -1 : 1;
    return x->trial < y->trial ? -1 : 1;
}

/* The best 1/eta of those that came to this rung go on, at least one; the checkpoints of the rest go. */
static enum lm_rc halve(struct search *s, uint64_t bracket, size_t cohort, struct lm_err *err)
{
    const size_t keep = cohort / (size_t)s->config->eta ? cohort / (size_t)s->config->eta : 1;
    struct rank *ranks = lm_arena_alloc(s->arena, s->count * sizeof *ranks);
    size_t len = 0;
    for (uint64_t t = 0; t < s->count; t++)
        if (s->trials[t].bracket == bracket && !s->trials[t].out)
            ranks[len++] = (struct rank){ s->trials[t].heldout_loss, t };
    qsort(ranks, len, sizeof *ranks, by_loss);
    enum lm_rc rc = LM_OK;
    for (size_t i = keep; i < len; i++) {
        s->trials[ranks[i].trial].out = true;
        if (rc == LM_OK && is_first(s))
            rc = lm_path_remove(trial_dir(s, ranks[i].trial), err);
    }
    return lm_ranks_agree(lm_tune_ranks(s->target), rc, err);
}

/* Of any rank: they all stop before the same trial. */
static enum lm_rc ask_to_stop(const struct search *s, uint64_t trial, struct lm_err *err)
{
    double asked = lm_stop_asked();
    LM_TRY(lm_ranks_sum(lm_tune_ranks(s->target), &asked, 1, err));
    if (asked == 0)
        return LM_OK;
    return lm_fail(err, LM_ESTOP, "tune: stopped before trial %llu; the same command goes on there",
                   (unsigned long long)trial);
}

static enum lm_rc run_bracket(struct search *s, uint64_t bracket, struct lm_err *err)
{
    const uint64_t rungs = (uint64_t)s->config->rungs;
    for (uint64_t at = bracket; at < rungs; at++) {
        size_t cohort = 0;
        for (uint64_t t = 0; t < s->count; t++)
            cohort += s->trials[t].bracket == bracket && !s->trials[t].out;
        const struct lm_rung share = rung_at(s->config, at);
        if (cohort > 0 && s->replayed == s->before.len)
            lm_say("tune: rung %llu of %llu: %zu trials to 1/%llu of their steps", (unsigned long long)at + 1,
                   (unsigned long long)rungs, cohort, (unsigned long long)share.parts);
        for (uint64_t t = 0; t < s->count; t++) {
            if (s->trials[t].bracket != bracket || s->trials[t].out)
                continue;
            LM_TRY(ask_to_stop(s, t, err));
            LM_TRY(measure(s, t, at, err));
        }
        if (at + 1 < rungs)
            LM_TRY(halve(s, bracket, cohort, err));
    }
    return LM_OK;
}

static enum lm_rc conclude(const struct search *s, struct lm_tune_result *ret, struct lm_err *err)
{
    if (s->last.trial == UINT64_MAX)
        return lm_fail(err, LM_EFORMAT, "tune: all %zu trials failed; the first: %.*s", s->count,
                       (int)(s->first_reason.len < 400 ? s->first_reason.len : 400), s->first_reason.ptr);
    const struct lm_trial_record *last = &s->last;
    *ret = (struct lm_tune_result){
        .trials = s->count,
        .failed = s->failed,
        .best = last->trial,
        .setting = s->trials[last->trial].setting,
        .heldout_loss = last->heldout_loss,
        .heldout_bits_per_byte = last->heldout_bits_per_byte,
        .steps = last->steps,
        .baseline_loss = s->config->baseline && s->baseline.steps ? s->baseline.heldout_loss : NAN,
        .baseline_step = s->baseline.step,
    };
    return LM_OK;
}

enum lm_rc lm_tune(const struct lm_tune_config *config, const struct lm_space *space,
                   const struct lm_tune_target *target, const char *work_dir, struct lm_arena *arena,
                   struct lm_tune_result *ret, struct lm_err *err)
{
    if (space->count == 0)
        return lm_fail(err, LM_EINVAL,
                       "tune: nothing is searched; name a parameter, like --try lr=log:1e-4..1e-2");
    if (config->brackets > config->rungs)
        return lm_fail(err, LM_EINVAL, "tune: %lld brackets need as many rungs, not %lld",
                       (long long)config->brackets, (long long)config->rungs);
    struct search s = { .config = config,
                        .space = space,
                        .target = target,
                        .work_dir = work_dir,
                        .arena = arena,
                        .last = { .trial = UINT64_MAX } };
    make_trials(&s);
    if (s.count < (size_t)config->trials)
        lm_say("tune: there are only %zu different settings", s.count);
    enum lm_rc rc = read_before(&s, err);
    for (uint64_t b = 0; rc == LM_OK && b < (uint64_t)config->brackets; b++)
        rc = run_bracket(&s, b, err);
    if (rc == LM_OK && s.replayed < s.before.len)
        rc = lm_fail(err, LM_EFORMAT, "'%s' has lines that no trial explains; remove '%s' to search anew",
                     path_in(&s, "trials.jsonl"), work_dir);
    if (rc == LM_OK)
        rc = conclude(&s, ret, err);
    lm_trial_log_release(&s.before);
    lm_buf_release(&s.text);
    return rc;
}
