#include "train/dp.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const lm_dp_units[] = { "document", "person", NULL };

/* ---- the key ---- */

static enum lm_rc key_make(const char *path, uint8_t ret[LM_DP_KEY_BYTES], struct lm_err *err)
{
    randombytes_buf(ret, LM_DP_KEY_BYTES);
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return lm_fail_errno(err, LM_EIO, "cannot make '%s'", path);
    const bool written = write(fd, ret, LM_DP_KEY_BYTES) == LM_DP_KEY_BYTES && fsync(fd) == 0;
    if (close(fd) != 0 || !written) {
        unlink(path);
        return lm_fail_errno(err, LM_EIO, "cannot write the key of the noise to '%s'", path);
    }
    return LM_OK;
}

static enum lm_rc key_read(const char *path, uint8_t ret[LM_DP_KEY_BYTES], struct lm_err *err)
{
    struct lm_buf bytes = { 0 };
    enum lm_rc rc = lm_file_read(path, 2 * LM_DP_KEY_BYTES, &bytes, err);
    if (rc == LM_OK && bytes.len != LM_DP_KEY_BYTES)
        rc = lm_fail(err, LM_EFORMAT,
                     "'%s' is no key of %d bytes; remove it and the checkpoints beside it to start anew",
                     path, LM_DP_KEY_BYTES);
    if (rc == LM_OK)
        memcpy(ret, bytes.ptr, LM_DP_KEY_BYTES);
    lm_buf_release(&bytes);
    return rc;
}

/* SHA-256 of a purpose and some bytes, in hex. */
static void digest(const char *purpose, const void *bytes, size_t len, const char *more,
                   char ret[LM_SHA256_HEX])
{
    struct lm_sha256 hash;
    lm_sha256_init(&hash);
    lm_sha256_add_field(&hash, lm_str(purpose));
    lm_sha256_add_field(&hash, (struct lm_str){ bytes, len });
    lm_sha256_add_field(&hash, lm_str(more));
    lm_sha256_end_hex(&hash, ret);
}

static enum lm_rc key_find(struct lm_dp *dp, const char *work_dir, const char *recipe, struct lm_err *err)
{
    enum { RECIPE_CHARS = 12 };
    char name[RECIPE_CHARS + 16];
    snprintf(name, sizeof name, "%.*s.noise-key", RECIPE_CHARS, recipe);
    LM_FREE char *path = lm_path_join(work_dir, name);
    if (sodium_init() < 0)
        return lm_fail(err, LM_EIO, "privacy: the cryptographic library does not start");
    LM_TRY(lm_dir_make(work_dir, err));
    return lm_path_exists(path) ? key_read(path, dp->key, err) : key_make(path, dp->key, err);
}

static enum lm_rc key_share(struct lm_dp *dp, const char *work_dir, struct lm_ranks *ranks,
                            char recipe[LM_SHA256_HEX], struct lm_err *err)
{
    const enum lm_rc rc = ranks->rank == 0 ? key_find(dp, work_dir, recipe, err) : LM_OK;
    LM_TRY(lm_ranks_agree(ranks, rc, err));
    LM_TRY(lm_ranks_share(ranks, dp->key, sizeof dp->key, err));
    digest("loom noise key", dp->key, sizeof dp->key, "", dp->run);
    digest("loom private recipe", recipe, strlen(recipe), dp->run, recipe);
    return LM_OK;
}

/* ---- settings ---- */

static enum lm_rc check(const struct lm_dp_options *o, uint64_t units, struct lm_err *err)
{
    if (o->epsilon > 0 && o->noise > 0)
        return lm_fail(err, LM_EINVAL, "privacy: give dp-epsilon or dp-noise; each says what the other is");
    if (units == 0)
        return lm_fail(err, LM_EINVAL, "privacy: there is no %s to train on", lm_dp_units[o->unit]);
    if (o->delta * (double)units >= 1)
        return lm_fail(err, LM_EINVAL,
                       "privacy: with %llu %ss a dp-delta of %g promises nothing; give less than %g",
                       (unsigned long long)units, lm_dp_units[o->unit], o->delta, 1 / (double)units);
    return LM_OK;
}

enum lm_rc lm_dp_init(struct lm_dp *dp, const struct lm_dp_options *options,
                      const struct lm_dp_source *source, size_t rows, uint64_t steps, const char *work_dir,
                      struct lm_ranks *ranks, char recipe[LM_SHA256_HEX], struct lm_err *err)
{
    LM_ASSERT(rows > 0 && steps > 0);

    *dp = (struct lm_dp){ .options = *options, .source = source };
    LM_TRY(check(options, source->units, err));
    const double units = (double)source->units;
    dp->phase = (struct lm_dp_phase){ options->noise, fmin((double)rows / units, 1), steps };
    dp->expected = dp->phase.q * units;
    if (options->epsilon > 0) {
        const struct lm_dp_goal goal = { LM_DP_BEST, options->epsilon, options->delta, dp->phase.q, steps };
        LM_TRY(lm_dp_noise(&goal, NULL, 0, &dp->phase.sigma, err));
    }
    LM_TRY(key_share(dp, work_dir, ranks, recipe, err));
    lm_say("privacy: %llu %ss, each in a step with probability %.6g (%.1f expected), %llu steps, noise %.4g "
           "times the clipping norm %g",
           (unsigned long long)source->units, lm_dp_units[options->unit], dp->phase.q, dp->expected,
           (unsigned long long)steps, dp->phase.sigma, options->clip);
    return LM_OK;
}

enum lm_rc lm_dp_json(const struct lm_dp *dp, struct lm_buf *ret, struct lm_err *err)
{
    struct lm_dp_spent spent;
    LM_TRY(lm_dp_account(&dp->phase, 1, dp->options.delta, &spent, err));
    lm_buf_putc(ret, '{');
    lm_json_key_num(ret, "epsilon", spent.epsilon);
    lm_json_key_num(ret, "delta", dp->options.delta);
    lm_json_key_str(ret, "unit", lm_str(lm_dp_units[dp->options.unit]));
    lm_json_key_str(ret, "neighbours", LM_STR("one unit added or removed"));
    lm_json_key_int(ret, "units", (int64_t)dp->source->units);
    lm_json_key_num(ret, "noise", dp->phase.sigma);
    lm_json_key_num(ret, "clip", dp->options.clip);
    lm_json_key_num(ret, "rate", dp->phase.q);
    lm_json_key_int(ret, "steps", (int64_t)dp->phase.steps);
    lm_json_key_num(ret, "epsilon_rdp", spent.rdp);
    lm_json_key_str(ret, "partition", lm_str(dp->options.partition));
    lm_json_key_str(ret, "not_covered",
                    LM_STR("held-out losses, and every choice made outside this run: tokenizer, "
                           "de-duplication, settings, when to stop"));
    lm_buf_putc(ret, '}');
    return LM_OK;
}

/* ---- a step ---- */

struct draw {
    uint64_t join, place;   // 16 bytes of the sampling stream for a unit
};
enum { BLOCK_BYTES = 64, DRAWS = BLOCK_BYTES / sizeof(struct draw) };

static bool joins(const struct lm_dp *dp, const struct draw *d)
{
    return (double)(d->join >> 11) * 0x1p-53 < dp->phase.q;
}

bool lm_dp_takes_part(const struct lm_dp *dp, uint64_t step, uint64_t unit, uint64_t *ret_draw)
{
    struct draw block[DRAWS];
    lm_dp_stream(dp->key, LM_DP_SAMPLING, step, unit / DRAWS, block, sizeof block);
    *ret_draw = block[unit % DRAWS].place;
    return joins(dp, &block[unit % DRAWS]);
}

void lm_dp_clip_add(float *sum, float *g, size_t count, double norm, double clip)
{
    enum { UNIT = 1 << 14 };
    const double below = 1 - 1e-6;   // the products' rounding must not lift the norm above clip
    const bool finite = isfinite(norm);
    const struct lm_kernels *kernels = lm_kernels();
    const float factor = norm > clip * below ? (float)(clip / norm * below) : 1;
#pragma omp parallel for schedule(static) num_threads(lm_threads())
    for (size_t first = 0; first < count; first += UNIT) {
        const size_t end = count - first < UNIT ? count : first + UNIT;
        if (finite)
            kernels->axpy(sum + first, factor, g + first, end - first);
        memset(g + first, 0, (end - first) * sizeof *g);
    }
}

static enum lm_rc add_unit(const struct lm_dp *dp, struct lm_net *net, struct lm_batch *batch,
                           uint64_t number, uint64_t place, struct lm_gradient *unit, float *sum,
                           struct lm_err *err)
{
    double loss;
    lm_batch_clear(batch);
    dp->source->fill(dp->source->state, number, place, batch);
    batch->first_row = number;   // its masks, if there are any, are its own
    if (batch->trained == 0)
        return LM_OK;
    LM_TRY(lm_net_train(net, batch, unit, &loss, err));
    lm_dp_clip_add(sum, unit->slab, unit->count, sqrt(lm_sum_squares(unit->slab, unit->count)),
                   dp->options.clip);
    return LM_OK;
}

/* The first unit of a part; units * part may be more than 64 bits hold. */
static uint64_t first_of(uint64_t units, size_t part, size_t parts)
{
    return units / parts * part + units % parts * part / parts;
}

enum lm_rc lm_dp_add(const struct lm_dp *dp, struct lm_net *net, struct lm_batch *batch, uint64_t step,
                     size_t part, size_t parts, struct lm_gradient *unit, float *sum, struct lm_err *err)
{
    LM_ASSERT(batch->rows == 1);
    LM_ASSERT(part < parts);

    const uint64_t first = first_of(dp->source->units, part, parts);
    const uint64_t end = first_of(dp->source->units, part + 1, parts);
    struct draw block[DRAWS];
    batch->step = step;
    for (uint64_t u = first; u < end; u++) {
        if (u == first || u % DRAWS == 0)
            lm_dp_stream(dp->key, LM_DP_SAMPLING, step, u / DRAWS, block, sizeof block);
        if (joins(dp, &block[u % DRAWS]))
            LM_TRY(add_unit(dp, net, batch, u, block[u % DRAWS].place, unit, sum, err));
    }
    return LM_OK;
}

void lm_dp_finish(const struct lm_dp *dp, uint64_t step, float *sum, size_t first, size_t count)
{
    lm_dp_noise_add(dp->key, step, sum, first, count, dp->phase.sigma * dp->options.clip, 1 / dp->expected);
}
