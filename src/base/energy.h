#ifndef LM_BASE_ENERGY_H
#define LM_BASE_ENERGY_H
/* base/energy.h - what the processor has used, where it says so (RAPL, as Linux shows it in
 * /sys/class/powercap).
 *
 * Zones of whole packages are summed: intel-rapl:0, intel-rapl:1 (AMD's, too), each with energy_uj, a counter
 * that starts again at max_energy_range_uj.  Many machines have none, or let only root read it: then nothing
 * is known, and that is no error.  One thread. */

#include <stdint.h>

enum { LM_ENERGY_ZONES_MAX = 16 };

struct lm_energy {
    struct lm_energy_zone {
        char path[160];   // of energy_uj
        uint64_t last_uj, range_uj;
    } zones[LM_ENERGY_ZONES_MAX];
    unsigned zone_count;
    double joules;   // since the start
};

/* Starts counting; dir is "/sys/class/powercap", or another folder of this shape for tests. */
struct lm_energy lm_energy_start(const char *dir);

/* Joules since the start; NAN where none can be read.  Ask at least once while a counter goes round (an
 * hour). */
double lm_energy_joules(struct lm_energy *e);

#endif
