/*
 * Guest memory as an SVSM reaches it, its instructions on the RMP, and where vCPUs are.
 *
 * An SVSM calls what stands under "what an SVSM calls". A `gpa` is guest-physical, a `page` the address of
 * the first byte of one. What an instruction does is noted for the answer, in `did`.
 */
#ifndef VMGEXIT_MEMORY_H
#define VMGEXIT_MEMORY_H

#include "vmgexit_pages.h"

#define VMGEXIT_MOST_REGISTERED 1024
#define VMGEXIT_MOST_DONE 4096 /* lines of `did`; a list of 510 entries takes 3,100 */
#define VMGEXIT_FAIL_INPUT 1
#define VMGEXIT_FAIL_PERMISSION 2
#define VMGEXIT_FAIL_INUSE 3
#define VMGEXIT_FAIL_SIZEMISMATCH 6

/* A line of `did`. */
struct vmgexit_done {
    const char *name;
    const char *word; /* behind the first value; may be NULL */
    uint64_t values[6];
    unsigned count;
};

/* The VMSA and the calling area of a vCPU, where it has them. */
struct vmgexit_home {
    uint64_t vmsa, area;
    bool has_vmsa, has_area;
};

/* Where a vCPU is. */
struct vmgexit_place {
    struct vmgexit_home home;   /* what the SVSM wants it to use */
    struct vmgexit_home mapped; /* what it uses: `home` as it was when it last entered its guest */
    bool in_guest, executes;
    bool has_lost_vmsa; /* the mapped VMSA is none any more */
};

/* A VMSA that the SVSM knows, as `registry` shows it. */
struct vmgexit_registration {
    uint64_t vmsa, area;
    uint32_t cpu;
    bool is_guests; /* a guest named it */
    bool in_use;
};

struct vmgexit_memory {
    bool is_there, assigns, faults_on_unvalidated;
    bool has_apic; /* the SVSM emulates APICs: `init` had `reg_count` */
    struct vmgexit_range map[2 * VMGEXIT_MOST_RANGES]; /* the guest's memory, without the SVSM's range */
    size_t map_count;
    struct vmgexit_range svsm;
    struct vmgexit_place places[VMGEXIT_MOST_VCPUS];
    struct vmgexit_done done[VMGEXIT_MOST_DONE];
    size_t done_count;
};

extern struct vmgexit_memory vmgexit_memory;

static inline struct vmgexit_place *vmgexit_place_of(const struct vmgexit_vcpu *cpu)
{
    return &vmgexit_memory.places[cpu->index];
}

static inline void vmgexit_note(const char *name, unsigned count, const uint64_t *values)
{
    struct vmgexit_done *done = &vmgexit_memory.done[vmgexit_memory.done_count];

    if (vmgexit_memory.done_count++ == VMGEXIT_MOST_DONE) {
        fputs("vmgexit kit: an SVSM that does too much in one call\n", stderr);
        exit(3);
    }
    *done = (struct vmgexit_done){ .name = name, .count = count };
    if (count)
        memcpy(done->values, values, count * sizeof *values);
}

#define VMGEXIT_NOTE(name, ...)                                                                                      \
    vmgexit_note(name, sizeof((uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t), (const uint64_t[]){ __VA_ARGS__ })

/* Put a word behind the first value of the last line. */
static inline void vmgexit_note_word(const char *word)
{
    vmgexit_memory.done[vmgexit_memory.done_count - 1].word = word;
}

/* Whether a vCPU executes in the VMSA that the page is. */
static inline bool vmgexit_executes(uint64_t gpa)
{
    for (size_t i = 0; i < VMGEXIT_MOST_VCPUS; i++) {
        const struct vmgexit_place *place = &vmgexit_memory.places[i];
        if (place->executes && place->mapped.vmsa == (gpa & -VMGEXIT_PAGE))
            return true;
    }
    return false;
}

/* The SVSM reaches for a page that is not assigned to its address. */
static inline void vmgexit_fault(uint64_t gpa)
{
    if (!vmgexit_memory.assigns)
        vmgexit_terminate("a nested page fault");
    vmgexit_assign(vmgexit_behind(gpa), gpa);
}

/* The page that an instruction works on, when it need not start again. */
static inline struct vmgexit_page *vmgexit_operand(uint64_t gpa, bool is_large)
{
    struct vmgexit_page *page = vmgexit_behind(gpa);

    if (!vmgexit_is_mine(page, gpa)) {
        vmgexit_fault(gpa);
        VMGEXIT_NOTE("npf", gpa);
    }
    if (page->rmp.huge && !is_large) {
        vmgexit_smash(page);
        VMGEXIT_NOTE("psmash", gpa & -VMGEXIT_LARGE_PAGE);
    }
    return page;
}

/* --- what an SVSM calls ------------------------------------------------------------------------- */

/* Whether one range of the guest's memory holds all of this. */
static inline bool vmgexit_in_map(uint64_t start, uint64_t length)
{
    for (size_t i = 0; i < vmgexit_memory.map_count; i++) {
        const struct vmgexit_range *range = &vmgexit_memory.map[i];
        if (start >= range->start && length <= range->length && start - range->start <= range->length - length)
            return true;
    }
    return false;
}

/*
 * A private access: false where it is #VC, as a page is not validated. To a page that is not the guest's it
 * is a nested page fault, from which this may not return.
 */
static inline bool vmgexit_touch(uint64_t start, uint64_t length)
{
    for (uint64_t i = 0; i < vmgexit_pages_of(start, length); i++) {
        const uint64_t gpa = (start & -VMGEXIT_PAGE) + i * VMGEXIT_PAGE;
        const struct vmgexit_page *page = vmgexit_behind(gpa);
        if (!vmgexit_is_mine(page, gpa)) {
            vmgexit_fault(gpa);
            return false;
        }
        if (!page->rmp.validated)
            return false;
    }
    return true;
}

/* The bytes of a page that was touched. */
static inline union vmgexit_content *vmgexit_content_at(uint64_t gpa)
{
    return vmgexit_content_of(vmgexit_behind(gpa));
}

/* How many of so many bytes are in the page of an address. */
static inline size_t vmgexit_part(uint64_t gpa, size_t most)
{
    const size_t room = VMGEXIT_PAGE - gpa % VMGEXIT_PAGE;

    return most < room ? most : room;
}

static inline void vmgexit_load(uint64_t gpa, void *into, size_t length)
{
    for (size_t at = 0, part; at < length; at += part, gpa += part) {
        const struct vmgexit_page *page = vmgexit_behind(gpa);
        part = vmgexit_part(gpa, length - at);
        if (page->content)
            memcpy((uint8_t *)into + at, page->content->bytes + gpa % VMGEXIT_PAGE, part);
        else
            memset((uint8_t *)into + at, page->fill, part);
    }
}

static inline void vmgexit_store(uint64_t gpa, const void *from, size_t length)
{
    for (size_t at = 0, part; at < length; at += part, gpa += part) {
        part = vmgexit_part(gpa, length - at);
        memcpy(vmgexit_content_at(gpa)->bytes + gpa % VMGEXIT_PAGE, (const uint8_t *)from + at, part);
    }
}

/* Clear a page, or 2 MiB. */
static inline void vmgexit_clear(uint64_t page, uint64_t length)
{
    for (uint64_t at = page; at < page + length; at += VMGEXIT_PAGE)
        vmgexit_fill_page(vmgexit_behind(at), 0);
    VMGEXIT_NOTE("zero", page, length);
}

/* PVALIDATE: its status, and in `unchanged` the carry flag. */
static inline unsigned vmgexit_pvalidate(uint64_t gpa, bool is_large, bool valid, bool *unchanged)
{
    struct vmgexit_page *page = vmgexit_operand(gpa, is_large);
    struct vmgexit_rmp_entry entry = page->rmp;
    const unsigned status = is_large && !entry.huge ? VMGEXIT_FAIL_SIZEMISMATCH : 0;

    *unchanged = !status && entry.validated == valid;
    entry.validated = valid;
    if (!status)
        vmgexit_put_entry(page, entry);
    VMGEXIT_NOTE("pvalidate", gpa, is_large, valid, status, *unchanged);
    return status;
}

/* RMPADJUST: its status. Of a page that is not validated it is #VC on some processors: see vmgexit_is_vc. */
static inline unsigned vmgexit_rmpadjust(uint64_t gpa, bool is_large, unsigned vmpl, unsigned perms, bool vmsa)
{
    struct vmgexit_page *page = vmgexit_operand(gpa, is_large);
    struct vmgexit_rmp_entry entry = page->rmp;
    unsigned status = 0;

    if (is_large && !entry.huge)
        status = VMGEXIT_FAIL_SIZEMISMATCH;
    else if (!entry.validated)
        status = VMGEXIT_FAIL_INPUT;
    else if (vmgexit_executes(gpa))
        status = VMGEXIT_FAIL_INUSE;
    entry.perms[vmpl & 3] = (uint8_t)perms;
    entry.vmsa = vmsa;
    if (!status)
        vmgexit_put_entry(page, entry);
    VMGEXIT_NOTE("rmpadjust", gpa, is_large, vmpl, perms, vmsa, status);
    return status;
}

/* Whether that failure of RMPADJUST is #VC on this processor. */
static inline bool vmgexit_is_vc(unsigned status)
{
    return status == VMGEXIT_FAIL_INPUT && vmgexit_memory.faults_on_unvalidated;
}

/* The SVSM drops what translations there are of a page, or all. */
static inline void vmgexit_flush(uint64_t page, bool is_large)
{
    VMGEXIT_NOTE("flush", page, is_large);
}

static inline void vmgexit_flush_all(void)
{
    vmgexit_note("flush_all", 0, NULL);
}

/* Where a vCPU is to be from the next time on that it enters its guest. */
static inline struct vmgexit_home *vmgexit_home_of(const struct vmgexit_vcpu *cpu)
{
    return &vmgexit_place_of(cpu)->home;
}

/* A page is no VMSA any more: no vCPU goes on in it. */
static inline void vmgexit_lose_vmsa(uint64_t vmsa)
{
    for (size_t i = 0; i < VMGEXIT_MOST_VCPUS; i++) {
        struct vmgexit_place *place = &vmgexit_memory.places[i];
        if (place->mapped.has_vmsa && place->mapped.vmsa == vmsa)
            place->has_lost_vmsa = true;
    }
}

#endif /* VMGEXIT_MEMORY_H */
