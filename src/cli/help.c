/* cli/help.c - help, manual page and shell completion, all made from the command and option tables. */

#include "base/sys.h"
#include "cli/cli.h"

static void print_table(const struct lm_opt_table *table, FILE *out)
{
    struct lm_buf text = { 0 };
    lm_opt_help(table, &text);
    fprintf(out, "\n%s:\n%s", table->name, text.ptr ? text.ptr : "");
    lm_buf_release(&text);
}

void lm_help_overview(FILE *out)
{
    fprintf(out, "loom %s - LLM operations on own machines\n\nuse: loom COMMAND [ARGS] [--option=value]\n\n",
            lm_version);
    for (size_t i = 0; i < lm_command_count; i++)
        fprintf(out, "  %-11s %s\n", lm_commands[i].name, lm_commands[i].summary);
    fprintf(out, "\n'loom COMMAND --help' shows the arguments and options of a command.\n");
}

void lm_help_command(const struct lm_command *command, FILE *out)
{
    fprintf(out, "loom %s - %s\n\nuse: loom %s %s [--option=value]\n", command->name, command->summary,
            command->name, command->args);
    if (command->details)
        fprintf(out, "\n%s\n", command->details);
    for (const struct lm_cli_action *a = command->actions; a && a->name; a++) {
        const int width = fprintf(out, "%s  %s %s", a == command->actions ? "\n" : "", a->name, a->args);
        fprintf(out, "%*s%s\n", width < 38 ? 38 - width : 2, "", a->help);
    }
    for (size_t t = 0; t < LM_CLI_TABLES_MAX && command->tables[t]; t++)
        print_table(command->tables[t], out);
    print_table(&lm_cli_globals_options, out);
}

/* Troff text: a leading dot or quote would be a request, a backslash an escape, a dash a hyphen. */
static void troff(const char *s, FILE *out)
{
    if (*s == '.' || *s == '\'')
        fputs("\\&", out);
    for (; *s; s++) {
        if (*s == '\\')
            fputs("\\e", out);
        else if (*s == '-')
            fputs("\\-", out);
        else
            fputc(*s, out);
    }
}

static void manual_table(const struct lm_opt_table *table, FILE *out)
{
    for (size_t i = 0; i < table->len; i++) {
        const struct lm_opt *o = &table->rows[i];
        fprintf(out, ".TP\n.B \\-\\-");
        troff(o->name, out);
        fputc('\n', out);
        troff(o->help ? o->help : "", out);
        if (o->fallback && *o->fallback)
            fprintf(out, " (default %s)", o->fallback);
        fputc('\n', out);
    }
}

void lm_help_manual(FILE *out)
{
    fprintf(out, ".TH LOOM 1 \"\" \"loom %s\" \"LLM operations on own machines\"\n", lm_version);
    fputs(".SH NAME\nloom \\- from raw documents to a governed language model, on own machines\n"
          ".SH SYNOPSIS\n.B loom\n.I COMMAND\n[\\fIARGS\\fR] [\\fB\\-\\-option=value\\fR]\n.SH COMMANDS\n",
          out);
    for (size_t i = 0; i < lm_command_count; i++) {
        const struct lm_command *c = &lm_commands[i];
        fprintf(out, ".SS loom %s %s\n", c->name, c->args);
        troff(c->summary, out);
        fputs(".\n", out);
        if (c->details) {
            fputs(".PP\n", out);
            troff(c->details, out);
            fputc('\n', out);
        }
        for (const struct lm_cli_action *a = c->actions; a && a->name; a++) {
            fprintf(out, ".TP\n.B %s %s\n", a->name, a->args);
            troff(a->help, out);
            fputc('\n', out);
            if (a->table)
                fprintf(out, "Takes the options of loom %s, too.\n", a->table->name);
        }
        for (size_t t = 0; t < LM_CLI_TABLES_MAX && c->tables[t]; t++)
            manual_table(c->tables[t], out);
    }
    fputs(".SH OPTIONS OF EVERY COMMAND\n", out);
    manual_table(&lm_cli_globals_options, out);
    fputs(".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage, 3 a gate or rule refused, 99 nothing to do, 128 "
          "plus the "
          "signal number when stopped.\n",
          out);
}

static void completion_words(const struct lm_opt_table *table, FILE *out)
{
    for (size_t i = 0; i < table->len; i++)
        fprintf(out, " --%s%s", table->rows[i].name, table->rows[i].type == LM_OPT_BOOL ? "" : "=");
}

void lm_help_completion(FILE *out)
{
    fputs("# bash completion for loom; made by `loom help --completion`\n_loom() {\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} words\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        words=\"",
          out);
    for (size_t i = 0; i < lm_command_count; i++)
        fprintf(out, "%s%s", i ? " " : "", lm_commands[i].name);
    fputs("\"\n    else case ${COMP_WORDS[1]} in\n", out);
    for (size_t i = 0; i < lm_command_count; i++) {
        const struct lm_command *c = &lm_commands[i];
        fprintf(out, "        %s) words=\"", c->name);
        for (const struct lm_cli_action *a = c->actions; a && a->name; a++)
            fprintf(out, "%s ", a->name);
        completion_words(&lm_cli_globals_options, out);
        for (size_t t = 0; t < LM_CLI_TABLES_MAX && c->tables[t]; t++)
            completion_words(c->tables[t], out);
        for (const struct lm_cli_action *a = c->actions; a && a->name; a++)
            if (a->table)
                completion_words(a->table, out);
        fputs("\" ;;\n", out);
    }
    fputs("        esac\n    fi\n"
          "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
          "    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n"
          "    [[ $word == -* || $COMP_CWORD -eq 1 ]] || mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < "
          "<(compgen -f -- \"$word\")\n"
          "}\ncomplete -F _loom loom\n",
          out);
}
