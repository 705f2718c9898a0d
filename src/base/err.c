#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 3, 0))) static enum lm_rc store(struct lm_err *err, enum lm_rc rc,
                                                              const char *format, va_list args)
{
    err->rc = rc;
    const int len = vsnprintf(err->text, sizeof(err->text), format, args);
    if (len < 0)
        err->text[0] = '\0';
    return rc;
}

enum lm_rc(lm_fail)(struct lm_err *err, enum lm_rc rc, const char *format, ...)
{
    LM_ASSERT(rc < 0);

    if (!err)
        return rc;
    va_list args;
    va_start(args, format);
    store(err, rc, format, args);
    va_end(args);
    return rc;
}

enum lm_rc(lm_fail_errno)(struct lm_err *err, enum lm_rc rc, const char *format, ...)
{
    LM_ASSERT(rc < 0);

    const int cause = errno;   // the calls below may change it
    if (!err)
        return rc;
    va_list args;
    va_start(args, format);
    store(err, rc, format, args);
    va_end(args);
    const size_t len = strlen(err->text);
    char reason[128];
    /* The GNU strerror_r: returns the text, which need not be in the buffer. */
    snprintf(err->text + len, sizeof(err->text) - len, ": %s", strerror_r(cause, reason, sizeof(reason)));
    errno = cause;
    return rc;
}

enum lm_rc lm_err_prefix(struct lm_err *err, enum lm_rc rc, const char *format, ...)
{
    if (!err)
        return rc;
    char sentence[LM_ERR_TEXT_MAX];
    memcpy(sentence, err->text, sizeof(sentence));
    va_list args;
    va_start(args, format);
    store(err, err->rc, format, args);
    va_end(args);
    const size_t len = strlen(err->text);
    snprintf(err->text + len, sizeof(err->text) - len, ": %s", sentence);
    return err->rc;
}

const char *lm_rc_name(enum lm_rc rc)
{
    /* To add a code: a line in enum lm_rc and one here. */
    static const char *const names[] = {
        [-LM_OK] = "ok",          [-LM_EINVAL] = "invalid",
        [-LM_EIO] = "io",         [-LM_ENOENT] = "noent",
        [-LM_EFORMAT] = "format", [-LM_ELIMIT] = "limit",
        [-LM_EEXIST] = "exists",  [-LM_EDENIED] = "denied",
        [-LM_ESTOP] = "stop",     [-LM_ENOTHING] = "nothing",
        [-LM_ENOMEM] = "nomem",
    };
    const int index = -(int)rc;
    return index >= 0 && (size_t)index < sizeof(names) / sizeof(names[0]) ? names[index] : "unknown";
}

__attribute__((weak)) _Noreturn void lm_broken(const char *expression, const char *file, int line)
{
    fprintf(stderr, "loom: bug at %s:%d: %s does not hold\n", file, line, expression);
    abort();
}
