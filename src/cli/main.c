/* cli/main.c - from argv to a finished command, and from its outcome to an exit code. */

#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "cli/cli.h"
#include "store/db.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_GATE = 3, EXIT_NOTHING = 99, EXIT_SIGNAL = 128 };

#define ROW(field) LM_OPT_AT(struct lm_cli_globals, field)
// clang-format off
static const struct lm_opt globals_rows[] = {
    { "help",    LM_OPT_BOOL,   ROW(help),    "false", .help = "print the help of the command", .neutral = true },
    { "json",    LM_OPT_BOOL,   ROW(json),    "false", .help = "last line of stdout: one compact JSON object", .neutral = true },
    { "quiet",   LM_OPT_BOOL,   ROW(quiet),   "false", .help = "no progress and no notes on stderr", .neutral = true },
    { "threads", LM_OPT_INT,    ROW(threads), "0",     0, 1024, "threads", "0 = all cores; results do not depend on it", .neutral = true },
    { "project", LM_OPT_STRING, ROW(project), ".",     .help = "folder of loom.yaml and .loom", .neutral = true },
    { "config",  LM_OPT_STRING, ROW(config),  NULL,    .help = "YAML file whose sections give the options below; flags override it", .neutral = true },
};
// clang-format on
const struct lm_opt_table lm_cli_globals_options =
    LM_OPT_TABLE("options of every command", struct lm_cli_globals, globals_rows);

/* ---- parsing ---- */

static const struct lm_cli_action *find_action(const struct lm_command *command, const char *name)
{
    for (const struct lm_cli_action *a = command->actions; a->name; a++)
        if (strcmp(a->name, name) == 0)
            return a;
    return NULL;
}

/* An action that stands first brings its own table of options, behind those of the command. */
static struct lm_command with_action(const struct lm_command *command, int argc, char **argv)
{
    struct lm_command c = *command;
    const struct lm_cli_action *action = c.actions && argc > 0 ? find_action(command, argv[0]) : NULL;
    size_t t = 0;
    while (t < LM_CLI_TABLES_MAX && c.tables[t])
        t++;
    if (action && action->table) {
        LM_ASSERT(t < LM_CLI_TABLES_MAX);
        c.tables[t] = action->table;
    }
    return c;
}

struct place {
    const struct lm_opt *opt;
    void *config;
};

/* Looks a flag up in the command's tables, then in the globals. */
static struct place find_option(struct lm_cli *cli, const struct lm_command *command, struct lm_str name)
{
    for (size_t t = 0; t < LM_CLI_TABLES_MAX && command->tables[t]; t++) {
        const struct lm_opt *opt = lm_opt_find(command->tables[t], name);
        if (opt)
            return (struct place){ opt, cli->config[t] };
    }
    return (struct place){ lm_opt_find(&lm_cli_globals_options, name), &cli->globals };
}

static enum lm_rc unknown_option(const struct lm_command *command, const char *arg, struct lm_str name,
                                 struct lm_err *err)
{
    const char *nearest = lm_opt_nearest(&lm_cli_globals_options, name);
    for (size_t t = 0; t < LM_CLI_TABLES_MAX && command->tables[t]; t++) {
        const char *here = lm_opt_nearest(command->tables[t], name);
        nearest = here ? here : nearest;
    }
    if (nearest)
        return lm_fail(err, LM_EINVAL, "unknown option '%s' for 'loom %s'; did you mean --%s?", arg,
                       command->name, nearest);
    return lm_fail(err, LM_EINVAL, "unknown option '%s'; 'loom %s --help' lists the known ones", arg,
                   command->name);
}

/* "--name=value", "--name value", "--flag", "--no-flag".  Moves *index past a separate value. */
static enum lm_rc parse_flag(struct lm_cli *cli, const struct lm_command *command, int argc, char **argv,
                             int *index, struct lm_err *err)
{
    const char *arg = argv[*index];
    struct lm_str name = lm_str(arg + 2), value = { 0 };
    const char *equals = strchr(arg, '=');
    if (equals) {
        name.len = (size_t)(equals - name.ptr);
        value = lm_str(equals + 1);
    }
    struct place at = find_option(cli, command, name);
    if (!at.opt && !equals && lm_str_starts(name, LM_STR("no-"))) {
        at = find_option(cli, command, (struct lm_str){ name.ptr + 3, name.len - 3 });
        if (at.opt && at.opt->type != LM_OPT_BOOL)
            at.opt = NULL;
        value = LM_STR("false");
    } else if (at.opt && !equals && at.opt->type == LM_OPT_BOOL) {
        value = LM_STR("true");
    } else if (at.opt && !equals) {
        if (*index + 1 >= argc)
            return lm_fail(err, LM_EINVAL, "option '%s' needs a value", arg);
        value = lm_str(argv[++*index]);
    }
    if (!at.opt)
        return unknown_option(command, arg, name, err);
    cli->flags[cli->flag_count++] = (struct lm_cli_flag){ at.opt, at.config };
    return lm_opt_set(at.opt, at.config, value, arg, &cli->arena, err);
}

/* The value of a flag that is needed before the others, NULL if it is not there. */
static const char *early_flag(const char *flag, int argc, char **argv)
{
    const size_t len = strlen(flag);
    const char *value = NULL;
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strncmp(argv[i], flag, len) == 0 && argv[i][len] == '=')
            value = argv[i] + len + 1;
        else if (strcmp(argv[i], flag) == 0 && i + 1 < argc)
            value = argv[i + 1];
    }
    return value;
}

/* loom.yaml of the project, if there is one. */
static const char *project_file(struct lm_cli *cli, int argc, char **argv)
{
    const char *dir = early_flag("--project", argc, argv);
    const char *path = lm_arena_printf(&cli->arena, "%s/loom.yaml", dir ? dir : cli->globals.project);
    return lm_path_exists(path) ? path : NULL;
}

/* --config fills the tables first, whatever its place among the flags. */
static enum lm_rc read_config(struct lm_cli *cli, const struct lm_command *command, int argc, char **argv,
                              struct lm_err *err)
{
    const char *path = early_flag("--config", argc, argv);
    if (!path && command->takes_project)
        path = project_file(cli, argc, argv);
    if (!path)
        return LM_OK;
    cli->config_file = path;
    const struct lm_yaml *root = NULL;
    LM_TRY(lm_yaml_read(path, &cli->arena, &root, err));
    for (size_t t = 0; t < LM_CLI_TABLES_MAX && command->tables[t]; t++) {
        const struct lm_yaml *section = lm_yaml_get(root, command->tables[t]->name);
        static const char *const nested[] = { "snapshots", "sources", "pretrain", "finetune", NULL };
        if (section)
            LM_TRY(lm_opt_from_yaml(command->tables[t], cli->config[t], section, path, nested, &cli->arena,
                                    err));
    }
    return LM_OK;
}

static enum lm_rc parse(struct lm_cli *cli, const struct lm_command *command, int argc, char **argv,
                        struct lm_err *err)
{
    lm_opt_defaults(&lm_cli_globals_options, &cli->globals);
    for (size_t t = 0; t < LM_CLI_TABLES_MAX && command->tables[t]; t++) {
        cli->config[t] = lm_arena_alloc(&cli->arena, command->tables[t]->config_bytes);
        lm_opt_defaults(command->tables[t], cli->config[t]);
    }
    LM_TRY(read_config(cli, command, argc, argv, err));
    cli->args = lm_arena_alloc(&cli->arena, (size_t)(argc + 1) * sizeof(*cli->args));
    cli->flags = lm_arena_alloc(&cli->arena, (size_t)(argc + 1) * sizeof(*cli->flags));
    bool only_args = false;
    for (int i = 0; i < argc; i++) {
        if (!only_args && strcmp(argv[i], "--") == 0)
            only_args = true;
        else if (!only_args && strncmp(argv[i], "--", 2) == 0)
            LM_TRY(parse_flag(cli, command, argc, argv, &i, err));
        else if (!only_args && argv[i][0] == '-' && argv[i][1])
            return lm_fail(err, LM_EINVAL, "unknown option '%s': options begin with two dashes", argv[i]);
        else
            cli->args[cli->arg_count++] = argv[i];
    }
    return LM_OK;
}

static enum lm_rc check_count(const char *name, const char *synopsis, size_t count, size_t min, size_t max,
                              struct lm_err *err)
{
    if (count >= min && count <= max)
        return LM_OK;
    return lm_fail(err, LM_EINVAL, "%s: use it as 'loom %s%s%s'",
                   count < min ? "too few arguments" : "too many arguments", name, *synopsis ? " " : "",
                   synopsis);
}

static enum lm_rc run_action(struct lm_cli *cli, const struct lm_command *command, struct lm_err *err)
{
    const struct lm_cli_action *action = cli->arg_count ? find_action(command, cli->args[0]) : NULL;
    if (!action)
        return lm_fail(err, LM_EINVAL, "'loom %s' needs one of its actions: 'loom %s --help' lists them",
                       command->name, command->name);
    cli->args++;
    cli->arg_count--;
    const char *name = lm_arena_printf(&cli->arena, "%s %s", command->name, action->name);
    LM_TRY(check_count(name, action->args, cli->arg_count, action->args_min, action->args_max, err));
    if (action->run)
        return action->run(cli, err);
    struct lm_db *db = NULL;
    LM_TRY(lm_cli_db(cli, &db, err));
    const enum lm_rc rc = action->run_db(cli, db, err);
    lm_db_close(db);
    return rc;
}

static enum lm_rc run_command(struct lm_cli *cli, const struct lm_command *command, struct lm_err *err)
{
    for (size_t t = 0; t < LM_CLI_TABLES_MAX && command->tables[t]; t++)
        LM_TRY(lm_opt_check(command->tables[t], cli->config[t], err));
    lm_progress_quiet(cli->globals.quiet);
    lm_threads_set((int)cli->globals.threads);
    if (command->actions)
        return run_action(cli, command, err);
    LM_TRY(
        check_count(command->name, command->args, cli->arg_count, command->args_min, command->args_max, err));
    return command->run(cli, err);
}

/* ---- outcome ---- */

static int exit_code(enum lm_rc rc)
{
    switch (rc) {
    case LM_OK:
        return EXIT_DONE;
    case LM_EINVAL:
        return EXIT_USAGE;
    case LM_EDENIED:
        return EXIT_GATE;
    case LM_ENOTHING:
        return EXIT_NOTHING;
    case LM_ESTOP:
        return EXIT_SIGNAL + (lm_stop_signal() ? lm_stop_signal() : SIGTERM);
    default:
        return EXIT_FAILED;
    }
}

static void print_json(struct lm_cli *cli, enum lm_rc rc, const struct lm_err *err)
{
    if (rc != LM_OK && rc != LM_ENOTHING && !cli->result_stands) {
        lm_buf_reset(&cli->result);
        lm_buf_puts(&cli->result, "{\"error\":{");
        lm_json_key_str(&cli->result, "code", lm_str(lm_rc_name(rc)));
        lm_json_key_str(&cli->result, "message", lm_str(err->text));
        lm_buf_puts(&cli->result, "}}");
    }
    printf("%s\n", cli->result.len ? cli->result.ptr : "{}");
}

static int finish(struct lm_cli *cli, enum lm_rc rc, struct lm_err *err)
{
    if (cli->globals.json)
        print_json(cli, rc, err);
    /* A full disk behind stdout must not look like success. */
    if (fflush(stdout) != 0 && rc == LM_OK)
        rc = lm_fail_errno(err, LM_EIO, "cannot write to standard output");
    if (rc != LM_OK && err->text[0])
        fprintf(stderr, "loom: %s\n", err->text);
    lm_buf_release(&cli->result);
    lm_arena_release(&cli->arena);
    return exit_code(rc);
}

/* libgomp spins for milliseconds at the end of a loop before it sleeps.  When another process wants the core,
 * that makes short loops many times slower, for both.  It reads its setting while it is loaded, so say it and
 * start again; a user's own setting is kept. */
static void spin_briefly(char **argv)
{
    if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY"))
        return;
    setenv("GOMP_SPINCOUNT", "5000", 1);   // about 50 microseconds
    execv("/proc/self/exe", argv);         // returns only where there is no /proc: then without it
}

int main(int argc, char **argv)
{
    spin_briefly(argv);
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        lm_help_overview(argc < 2 ? stderr : stdout);
        return argc < 2 ? EXIT_USAGE : EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("loom %s\n", lm_version);
        return EXIT_DONE;
    }
    const struct lm_command *known = lm_command_find(argv[1]);
    if (!known) {
        const char *nearest = lm_command_nearest(argv[1]);
        fprintf(stderr, "loom: there is no command '%s'%s%s%s; 'loom --help' lists them\n", argv[1],
                nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
        return EXIT_USAGE;
    }
    struct lm_cli cli = { 0 };
    struct lm_err err = { 0 };
    const struct lm_command command = with_action(known, argc - 2, argv + 2);
    enum lm_rc rc = parse(&cli, &command, argc - 2, argv + 2, &err);
    if (rc == LM_OK && cli.globals.help) {
        lm_help_command(&command, stdout);
        return finish(&cli, LM_OK, &err);
    }
    lm_stop_install();
    if (rc == LM_OK)
        rc = run_command(&cli, &command, &err);
    return finish(&cli, rc, &err);
}
