/*
 * System pages, their RMP entries, and which of them backs a page of the guest.
 *
 * A page is kept from the first time that something looks at it: before, it is as `init` says. Its bytes
 * are kept from the first time that something may write to them.
 */
#ifndef VMGEXIT_PAGES_H
#define VMGEXIT_PAGES_H

#include "vmgexit_vm.h"

#define VMGEXIT_PAGE UINT64_C(4096)
#define VMGEXIT_LARGE_PAGE (512 * VMGEXIT_PAGE)
#define VMGEXIT_LAST_ADDRESS ((UINT64_C(1) << 51) - 1)
#define VMGEXIT_MOST_RANGES 64
#define VMGEXIT_SLOTS (1u << 16)       /* a power of 2 */
#define VMGEXIT_MOST_PAGES (48u << 10) /* that are kept after one `init` */
#define VMGEXIT_ALL_PERMISSIONS 15     /* read, write, execute in user and in supervisor mode */
#define VMGEXIT_SVSM_FILL 0xc5
#define VMGEXIT_EFER_SVME UINT64_C(0x1000)
#define VMGEXIT_EXIT_CODE_VMGEXIT 0x403

union vmgexit_content {
    uint8_t bytes[VMGEXIT_PAGE];
    struct vmgexit_vmsa vmsa;
    struct vmgexit_calling_area calling;
};

struct vmgexit_rmp_entry {
    bool assigned, validated, huge, vmsa;
    uint8_t perms[4]; /* of VMPL 1 to 3, by their number */
    uint64_t gpa;
};

struct vmgexit_page {
    uint64_t address;
    uint64_t backed_by; /* the system page behind the guest page at this address */
    uint32_t since;     /* the `init` after which it is kept */
    struct vmgexit_rmp_entry rmp;
    union vmgexit_content *content; /* NULL: every byte is `fill` */
    uint8_t fill;
};

/* Pages at first: the rows of `init`, and after them the SVSM's own range. */
struct vmgexit_page_rows {
    struct vmgexit_page_range at[VMGEXIT_MOST_RANGES + 1];
    size_t count;
};

struct vmgexit_pages {
    struct vmgexit_page slots[VMGEXIT_SLOTS];
    uint32_t since, kept;
    union vmgexit_content *contents[VMGEXIT_MOST_PAGES]; /* from one `init` to the next */
    uint32_t contents_used;
    struct vmgexit_page_rows rows;
};

extern struct vmgexit_pages vmgexit_pages;

/* How many pages some bytes lie in. They may end at 2^64. */
static inline uint64_t vmgexit_pages_of(uint64_t start, uint64_t length)
{
    return length ? (start % VMGEXIT_PAGE + length - 1) / VMGEXIT_PAGE + 1 : 0;
}

static inline void vmgexit_forget_pages(void)
{
    vmgexit_pages.since++;
    vmgexit_pages.kept = vmgexit_pages.contents_used = 0;
}

static inline bool vmgexit_is_in(const struct vmgexit_page_range *row, uint64_t address)
{
    return address - row->start < row->length;
}

static inline bool vmgexit_is_huge(enum vmgexit_page_state state)
{
    return state == VMGEXIT_PAGE_STATE_HUGE_PRIVATE || state == VMGEXIT_PAGE_STATE_HUGE_VALID;
}

/* Whether a later row names some of the 2 MiB around a page, which are then pages of 4 KiB. */
static inline bool vmgexit_is_cut(uint64_t chunk, size_t row)
{
    for (size_t i = row + 1; i < vmgexit_pages.rows.count; i++) {
        const struct vmgexit_page_range *later = &vmgexit_pages.rows.at[i];
        if (later->start < chunk + VMGEXIT_LARGE_PAGE && chunk < later->start + later->length)
            return true;
    }
    return false;
}

/* A page as `init` says. */
static inline void vmgexit_fill_in_page(struct vmgexit_page *page)
{
    const struct vmgexit_page_rows *rows = &vmgexit_pages.rows;
    size_t row = rows->count;
    enum vmgexit_page_state state;

    while (row && !vmgexit_is_in(&rows->at[row - 1], page->address))
        row--;
    if (!row--)
        return;
    state = rows->at[row].state;
    page->fill = (uint8_t)rows->at[row].fill;
    if (state == VMGEXIT_PAGE_STATE_SHARED)
        return;
    page->rmp.assigned = true;
    page->rmp.gpa = page->address;
    page->rmp.validated = state == VMGEXIT_PAGE_STATE_VALID || state == VMGEXIT_PAGE_STATE_HUGE_VALID;
    page->rmp.huge = vmgexit_is_huge(state) && !vmgexit_is_cut(page->address & -VMGEXIT_LARGE_PAGE, row);
    if (page->rmp.validated && row + 1 < rows->count) /* the last row is the SVSM's */
        page->rmp.perms[VMGEXIT_GUEST_VMPL] = VMGEXIT_ALL_PERMISSIONS;
}

static inline _Noreturn void vmgexit_too_many_pages(void)
{
    fprintf(stderr, "vmgexit kit: more than %u pages since init\n", VMGEXIT_MOST_PAGES);
    exit(3);
}

/* The system page at an address. */
static inline struct vmgexit_page *vmgexit_page_at(uint64_t address)
{
    const uint64_t start = address & -VMGEXIT_PAGE;
    uint32_t slot = (uint32_t)((start >> 12) * UINT64_C(0x9e3779b97f4a7c15) >> 48) % VMGEXIT_SLOTS;
    struct vmgexit_page *page = &vmgexit_pages.slots[slot];

    while (page->since == vmgexit_pages.since && page->address != start) {
        slot = (slot + 1) % VMGEXIT_SLOTS;
        page = &vmgexit_pages.slots[slot];
    }
    if (page->since == vmgexit_pages.since)
        return page;
    if (vmgexit_pages.kept++ == VMGEXIT_MOST_PAGES)
        vmgexit_too_many_pages();
    *page = (struct vmgexit_page){ .address = start, .backed_by = start, .since = vmgexit_pages.since };
    vmgexit_fill_in_page(page);
    return page;
}

/* The system page behind the guest's page at an address. */
static inline struct vmgexit_page *vmgexit_behind(uint64_t gpa)
{
    struct vmgexit_page *page = vmgexit_page_at(gpa);

    return page->backed_by == page->address ? page : vmgexit_page_at(page->backed_by);
}

/* The bytes of a system page, which may be written. */
static inline union vmgexit_content *vmgexit_content_of(struct vmgexit_page *page)
{
    union vmgexit_content **next = &vmgexit_pages.contents[vmgexit_pages.contents_used];

    if (page->content)
        return page->content;
    if (vmgexit_pages.contents_used++ == VMGEXIT_MOST_PAGES || (!*next && !(*next = malloc(sizeof **next))))
        vmgexit_too_many_pages();
    page->content = *next;
    memset(page->content->bytes, page->fill, sizeof page->content->bytes);
    return page->content;
}

static inline void vmgexit_fill_page(struct vmgexit_page *page, uint8_t byte)
{
    page->fill = byte;
    if (page->content)
        memset(page->content->bytes, byte, sizeof page->content->bytes);
}

/* The entry of a page; those of 2 MiB are kept alike. */
static inline void vmgexit_put_entry(struct vmgexit_page *page, struct vmgexit_rmp_entry entry)
{
    const uint64_t chunk = page->address & -VMGEXIT_LARGE_PAGE;

    page->rmp = entry;
    if (!entry.huge)
        return;
    for (uint64_t at = chunk; at < chunk + VMGEXIT_LARGE_PAGE; at += VMGEXIT_PAGE) {
        entry.gpa = at;
        vmgexit_page_at(at)->rmp = entry;
    }
}

/* PSMASH: 512 entries of 4 KiB, in all else as they were. */
static inline void vmgexit_smash(struct vmgexit_page *page)
{
    const uint64_t chunk = page->address & -VMGEXIT_LARGE_PAGE;

    for (uint64_t at = chunk; at < chunk + VMGEXIT_LARGE_PAGE; at += VMGEXIT_PAGE)
        vmgexit_page_at(at)->rmp.huge = false;
}

/* RMPUPDATE: the page is the guest's at this address, and what it was is gone. */
static inline void vmgexit_assign(struct vmgexit_page *page, uint64_t gpa)
{
    page->rmp = (struct vmgexit_rmp_entry){ .assigned = true, .gpa = gpa & -VMGEXIT_PAGE };
}

/* Whether the system page behind a guest page is assigned to it. */
static inline bool vmgexit_is_mine(const struct vmgexit_page *page, uint64_t gpa)
{
    return page->rmp.assigned && page->rmp.gpa == (gpa & -VMGEXIT_PAGE);
}

#endif /* VMGEXIT_PAGES_H */
