/* cli/cmd_doctor.c - what this machine offers, what is missing and how to get it. */

#include "base/json.h"
#include "base/sys.h"
#include "cli/commands.h"

#include <sys/statvfs.h>

struct fact {
    const char *name;
    struct lm_buf value;
    const char *advice;   // NULL: all is well
};

static const char *isa_advice(enum lm_isa isa)
{
    static const char *const advice[LM_ISA_COUNT] = {
        [LM_ISA_SCALAR] = "no AVX2 or NEON: training and inference run on the scalar reference kernels, "
                          "about ten times slower",
        [LM_ISA_NEON] = "training runs on the scalar reference kernels; no dot products of bytes: quantised "
                        "models are slower",
        [LM_ISA_NEON_DOT] = "training runs on the scalar reference kernels",
        [LM_ISA_AVX2] =
            "no bf16 products: training uses f32, about a quarter of the speed of an AVX-512 BF16 machine",
        [LM_ISA_AVX512] = "no bf16 products: training uses f32; no VNNI: quantised models at half the speed",
        [LM_ISA_AVX512_VNNI] = "no bf16 products: training uses f32",
        [LM_ISA_AVX512_BF16] = NULL,
    };
    return advice[isa];
}

static uint64_t disk_free_bytes(const char *path)
{
    struct statvfs st;
    return statvfs(path, &st) == 0 ? (uint64_t)st.f_bavail * st.f_frsize : 0;
}

enum { DISK_MIN_GB = 2, RAM_MIN_GB = 2 };

static size_t examine(struct lm_cli *cli, struct fact facts[8])
{
    const double gb = 1e9;
    size_t n = 0;
    lm_buf_puts(&facts[n].value, lm_version);
    facts[n++].name = "loom";
    lm_buf_puts(&facts[n].value, lm_cpu_name());
    facts[n++].name = "processor";
    lm_buf_printf(&facts[n].value, "%d", lm_threads());
    facts[n++].name = "threads";
    lm_buf_puts(&facts[n].value, lm_isa_name(lm_isa()));
    facts[n].advice = isa_advice(lm_isa());
    facts[n++].name = "kernels";
    lm_buf_printf(&facts[n].value, "%.1f GB", (double)lm_ram_bytes() / gb);
    facts[n].advice = (double)lm_ram_bytes() < RAM_MIN_GB * gb
                          ? "small models only: give 'pretrain' a --memory-max-mb"
                          : NULL;
    facts[n++].name = "memory";
    const uint64_t free_bytes = disk_free_bytes(cli->globals.project);
    lm_buf_printf(&facts[n].value, "%.1f GB free in '%s'", (double)free_bytes / gb, cli->globals.project);
    facts[n].advice =
        (double)free_bytes < DISK_MIN_GB * gb ? "make room: artifacts and checkpoints need it" : NULL;
    facts[n++].name = "disk";
    return n;
}

enum lm_rc lm_cmd_doctor(struct lm_cli *cli, struct lm_err *err)
{
    (void)err;
    struct fact facts[8] = { 0 };
    const size_t count = examine(cli, facts);
    lm_buf_putc(&cli->result, '{');
    for (size_t i = 0; i < count; i++) {
        lm_json_key_str(&cli->result, facts[i].name, lm_buf_str(&facts[i].value));
        if (!cli->globals.json)
            printf("%-10s %s\n", facts[i].name, facts[i].value.ptr);
        if (!cli->globals.json && facts[i].advice)
            printf("%-10s -> %s\n", "", facts[i].advice);
        lm_buf_release(&facts[i].value);
    }
    lm_buf_putc(&cli->result, '}');
    return LM_OK;
}
