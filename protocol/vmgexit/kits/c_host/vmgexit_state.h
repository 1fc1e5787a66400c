/* What `state` tells beside numbers: which pages are private or shared, vectors, and the VMSAs of a vCPU. */
#ifndef VMGEXIT_STATE_H
#define VMGEXIT_STATE_H

#include "vmgexit_json.h"

#define VMGEXIT_PAGE 4096
#define VMGEXIT_MOST_RUNS 1024

/* --- page states --------------------------------------------------------------------------------- */

/* Runs of frames that the guest made private or shared: in order, apart, and none beside its like. */
struct vmgexit_page_states {
    struct vmgexit_frames {
        uint64_t first, end;
        bool is_private;
    } runs[VMGEXIT_MOST_RUNS];
    size_t count;
    bool is_full; /* there were too many: no more can be told */
};

static inline void vmgexit_add_frames(struct vmgexit_page_states *states, uint64_t first, uint64_t end, bool is_private)
{
    struct vmgexit_frames *last = states->count ? &states->runs[states->count - 1] : NULL;

    if (first >= end)
        return;
    if (last && last->end == first && last->is_private == is_private)
        last->end = end;
    else if (states->count == VMGEXIT_MOST_RUNS)
        states->is_full = true;
    else
        states->runs[states->count++] = (struct vmgexit_frames){ first, end, is_private };
}

/* Make so many frames private or shared. */
static inline void vmgexit_change_frames(struct vmgexit_page_states *states, uint64_t first, uint64_t count, bool is_private)
{
    static struct vmgexit_frames before[VMGEXIT_MOST_RUNS];
    const size_t runs = states->count;
    const uint64_t end = first + count;

    memcpy(before, states->runs, runs * sizeof *before);
    states->count = 0;
    for (size_t i = 0; i < runs; i++)
        vmgexit_add_frames(states, before[i].first, before[i].end < first ? before[i].end : first, before[i].is_private);
    vmgexit_add_frames(states, first, end, is_private);
    for (size_t i = 0; i < runs; i++)
        vmgexit_add_frames(states, before[i].first > end ? before[i].first : end, before[i].end, before[i].is_private);
}

static inline void vmgexit_put_page_states(struct vmgexit_answer *answer, const char *key,
                                           const struct vmgexit_page_states *states)
{
    vmgexit_key(answer, key);
    vmgexit_open(answer, '[');
    for (size_t i = 0; i < states->count; i++) {
        const struct vmgexit_frames *run = &states->runs[i];
        vmgexit_open(answer, '[');
        vmgexit_put_number(answer, run->first * VMGEXIT_PAGE);
        vmgexit_put_number(answer, run->end - run->first);
        vmgexit_put_text(answer, run->is_private ? "private" : "shared");
        vmgexit_close(answer, ']');
    }
    vmgexit_close(answer, ']');
}

/* --- of a vCPU ----------------------------------------------------------------------------------- */

/* A set of vectors. */
struct vmgexit_vectors {
    uint64_t bits[4];
};

static inline bool vmgexit_has_vector(const struct vmgexit_vectors *set, unsigned vector)
{
    return set->bits[vector / 64] >> vector % 64 & 1;
}

/* Those that there are, in ascending order. */
static inline void vmgexit_list_vectors(struct vmgexit_answer *answer, const struct vmgexit_vectors *set)
{
    for (unsigned vector = 0; vector < 256; vector++) {
        if (vmgexit_has_vector(set, vector))
            vmgexit_put_number(answer, vector);
    }
}

/* The same as the value of a key, unless there is none. */
static inline void vmgexit_put_vectors(struct vmgexit_answer *answer, const char *key, const struct vmgexit_vectors *set)
{
    if (!(set->bits[0] | set->bits[1] | set->bits[2] | set->bits[3]))
        return;
    vmgexit_key(answer, key);
    vmgexit_open(answer, '[');
    vmgexit_list_vectors(answer, set);
    vmgexit_close(answer, ']');
}

/* A VMSA that a guest gave for one VMPL. */
struct vmgexit_vmsa {
    bool is_there;
    uint64_t gpa, features; /* SEV_FEATURES, as RAX said */
    bool starts;            /* at once; else at the next INIT */
};

static inline void vmgexit_put_vmsas(struct vmgexit_answer *answer, const char *key, const struct vmgexit_vmsa vmsas[4])
{
    if (!(vmsas[0].is_there || vmsas[1].is_there || vmsas[2].is_there || vmsas[3].is_there))
        return;
    vmgexit_key(answer, key);
    vmgexit_open(answer, '{');
    for (int vmpl = 0; vmpl < 4; vmpl++) {
        const char name[2] = { (char)('0' + vmpl) };
        if (!vmsas[vmpl].is_there)
            continue;
        vmgexit_key(answer, name);
        vmgexit_open(answer, '{');
        vmgexit_number(answer, "gpa", vmsas[vmpl].gpa);
        vmgexit_number(answer, "features", vmsas[vmpl].features);
        vmgexit_flag(answer, "starts", vmsas[vmpl].starts);
        vmgexit_close(answer, '}');
    }
    vmgexit_close(answer, '}');
}

#endif /* VMGEXIT_STATE_H */
