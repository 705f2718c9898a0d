#include "base/energy.h"

#include "base/str.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>

static bool read_number(const char *path, uint64_t *ret)
{
    char text[32];
    int64_t value;
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    const size_t len = fread(text, 1, sizeof text, f);
    fclose(f);
    if (len == sizeof text || !lm_str_to_i64(lm_str_trim((struct lm_str){ text, len }), &value) || value < 0)
        return false;
    *ret = (uint64_t)value;
    return true;
}

/* "intel-rapl:0" is a package, "intel-rapl:0:1" a part of one. */
static bool is_package(const char *name)
{
    static const char start[] = "intel-rapl:";
    const size_t len = sizeof start - 1;
    return strncmp(name, start, len) == 0 && name[len] &&
           strspn(name + len, "0123456789") == strlen(name + len);
}

static void add_zone(struct lm_energy *e, const char *dir, const char *name)
{
    struct lm_energy_zone z = { .range_uj = 0 };
    char range[sizeof z.path];
    const int len = snprintf(z.path, sizeof z.path, "%s/%s/energy_uj", dir, name);
    const int range_len = snprintf(range, sizeof range, "%s/%s/max_energy_range_uj", dir, name);
    if (len < 0 || (size_t)len >= sizeof z.path || range_len < 0 || (size_t)range_len >= sizeof range)
        return;
    if (read_number(z.path, &z.last_uj) && read_number(range, &z.range_uj))
        e->zones[e->zone_count++] = z;
}

struct lm_energy lm_energy_start(const char *dir)
{
    struct lm_energy e = { .zone_count = 0 };
    DIR *d = opendir(dir);
    for (const struct dirent *entry; d && (entry = readdir(d)) && e.zone_count < LM_ENERGY_ZONES_MAX;)
        if (is_package(entry->d_name))
            add_zone(&e, dir, entry->d_name);
    if (d)
        closedir(d);
    return e;
}

double lm_energy_joules(struct lm_energy *e)
{
    for (unsigned i = 0; i < e->zone_count; i++) {
        struct lm_energy_zone *z = &e->zones[i];
        uint64_t now;
        if (!read_number(z->path, &now))
            continue;
        const uint64_t used = now >= z->last_uj ? now - z->last_uj : now + z->range_uj - z->last_uj;
        e->joules += (double)used * 1e-6;
        z->last_uj = now;
    }
    return e->zone_count ? e->joules : NAN;
}
