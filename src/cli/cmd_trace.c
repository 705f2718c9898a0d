/* cli/cmd_trace.c - from an answer back to documents. */

#include "base/json.h"
#include "cli/commands.h"
#include "flow/trace.h"

static void print_text(const struct lm_trace *t)
{
    printf("answer     %s, %s\n", t->answer, t->time);
    printf("           asked:    %.*s\n", (int)t->prompt.len, t->prompt.ptr);
    printf("           answered: %.*s\n", (int)t->text.len, t->text.ptr);
    printf("decision   %.*s\n", (int)t->decision.len, t->decision.ptr);
    printf("model      %s\n", t->model);
    for (size_t i = 0; i < t->step_count; i++) {
        const struct lm_artifact *a = &t->steps[i];
        printf("%-10s %-16s %.12s", i ? "" : "made by", a->stage, a->id);
        for (size_t k = 0; k < a->input_count; k++)
            printf("%s%s %.12s", k ? ", " : "  from ", a->inputs[k].role, a->inputs[k].id);
        printf("\n");
    }
    if (t->step_count > 0 && strcmp(t->steps[0].stage, "import") == 0) {
        printf("documents  not known: the model was made elsewhere\n");
        return;
    }
    printf("documents  %llu in the training set; nearest to the answer by shared runs of tokens:\n",
           (unsigned long long)t->document_count);
    for (size_t i = 0; i < t->nearest_count; i++) {
        const struct lm_trace_document *d = &t->nearest[i];
        printf("           %s  %s (%s): %zu tokens shared, longest run %zu\n", d->id,
               d->title ? d->title : "", d->url ? d->url : "", d->shared_tokens, d->run_tokens);
    }
}

static void print_json(const struct lm_trace *t, struct lm_buf *ret)
{
    lm_buf_putc(ret, '{');
    lm_json_key_str(ret, "answer", lm_str(t->answer));
    lm_json_key_str(ret, "time", lm_str(t->time));
    lm_json_key_str(ret, "model", lm_str(t->model));
    lm_json_key(ret, "decision");
    lm_buf_add_str(ret, t->decision);
    lm_json_key(ret, "artifacts");
    lm_buf_putc(ret, '[');
    for (size_t i = 0; i < t->step_count; i++) {
        lm_json_sep(ret);
        lm_buf_putc(ret, '{');
        lm_json_key_str(ret, "stage", lm_str(t->steps[i].stage));
        lm_json_key_str(ret, "id", lm_str(t->steps[i].id));
        lm_buf_putc(ret, '}');
    }
    lm_buf_putc(ret, ']');
    lm_json_key_int(ret, "documents", (int64_t)t->document_count);
    lm_json_key(ret, "nearest");
    lm_buf_putc(ret, '[');
    for (size_t i = 0; i < t->nearest_count; i++) {
        const struct lm_trace_document *d = &t->nearest[i];
        lm_json_sep(ret);
        lm_buf_putc(ret, '{');
        lm_json_key_str(ret, "id", lm_str(d->id));
        lm_json_key_str(ret, "title", lm_str(d->title));
        lm_json_key_str(ret, "url", lm_str(d->url));
        lm_json_key_int(ret, "shared_tokens", (int64_t)d->shared_tokens);
        lm_json_key_int(ret, "longest_run", (int64_t)d->run_tokens);
        lm_buf_putc(ret, '}');
    }
    lm_buf_puts(ret, "]}");
}

enum lm_rc lm_cmd_trace(struct lm_cli *cli, struct lm_err *err)
{
    const char *audit_dir;
    struct lm_db *db = NULL;
    struct lm_trace *trace = lm_arena_alloc(&cli->arena, sizeof(*trace));
    LM_TRY(lm_cli_state(cli, "audit", &audit_dir, err));
    LM_TRY(lm_cli_db(cli, &db, err));
    const char *store_dir = lm_arena_printf(&cli->arena, "%s/.loom", cli->globals.project);
    const enum lm_rc rc = lm_trace(db, store_dir, audit_dir, cli->args[0], &cli->arena, trace, err);
    lm_db_close(db);
    LM_TRY(rc);
    print_json(trace, &cli->result);
    if (!cli->globals.json)
        print_text(trace);
    return LM_OK;
}
