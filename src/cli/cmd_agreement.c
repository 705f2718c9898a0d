/* cli/cmd_agreement.c - user agreements and who accepted them. */

#include "base/file.h"
#include "cli/commands.h"
#include "govern/govern.h"

enum { AGREEMENT_BYTES_MAX = 1 << 20 };

static enum lm_rc version_of(const char *text, int64_t *ret, struct lm_err *err)
{
    if (!lm_str_to_i64(lm_str(text), ret) || *ret < 1)
        return lm_fail(err, LM_EINVAL, "'%s' is no version number (1, 2, ...)", text);
    return LM_OK;
}

static enum lm_rc agreement_publish(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
{
    int64_t version = 0;
    struct lm_buf text = { 0 };
    LM_TRY(version_of(cli->args[0], &version, err));
    enum lm_rc rc = lm_file_read(cli->args[1], AGREEMENT_BYTES_MAX, &text, err);
    if (rc == LM_OK)
        rc = lm_agreement_publish(db, version, lm_buf_str(&text), err);
    lm_buf_release(&text);
    return rc;
}

static enum lm_rc agreement_accept(struct lm_cli *cli, struct lm_db *db, struct lm_err *err)
{
    int64_t version = 0;
    LM_TRY(version_of(cli->args[1], &version, err));
    return lm_agreement_accept(db, cli->args[0], version, err);
}

const struct lm_cli_action lm_agreement_actions[] = {
    { "agreement_publish", "VERSION FILE", "a new version; every user must accept it", 2, 2,
      .run_db = agreement_publish },
    { "accept", "USER VERSION", "record a user's acceptance", 2, 2, .run_db = agreement_accept },
    { 0 },
};
