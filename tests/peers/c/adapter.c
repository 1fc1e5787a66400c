/* ./adapter --bugs ppr,window: the SVSM with these bugs; with all, all ten; without, none. */
#include "svsm.h"
#include "vmgexit_adapter.h"

static const char *const names[SVSM_BUGS] = { "ppr",    "vector-31", "level-eoi", "register", "lazy",
                                              "oldest", "last-word", "ldr",       "window",   "refused" };

static const struct vmgexit_svsm svsm = {
    .name = "an APIC SVSM in C",
    .profile = "reference",
    .stays = true,
    .init = svsm_init,
    .knows = svsm_knows,
    .call = svsm_call,
    .enter = svsm_enter,
    .left = svsm_left,
    .new_vmsa = svsm_new_vmsa,
    .apic = svsm_apic,
    .reg_count = svsm_reg_count,
};

/* Switch on each bug whose name is in the list; false if one of them is unknown. */
static bool switch_on(char *list)
{
    for (char *name = strtok(list, ","); name; name = strtok(NULL, ",")) {
        bool is_known = strcmp(name, "none") == 0;
        for (int bug = 0; bug < SVSM_BUGS; bug++) {
            if (strcmp(name, names[bug]) == 0 || strcmp(name, "all") == 0)
                svsm_bugs[bug] = is_known = true;
        }
        if (!is_known) {
            fprintf(stderr, "--bugs: no bug is called %s\n", name);
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--bugs") == 0) {
        if (!switch_on(argv[2]))
            return 2;
    } else if (argc != 1) {
        fprintf(stderr, "usage: %s [--bugs NAME,...]\n", argv[0]);
        return 2;
    }
    return vmgexit_answer_commands(&svsm);
}
