/* What the host and the guest do to memory by commands, without the SVSM: each says why it cannot, or NULL. */
#ifndef VMGEXIT_HOST_PAGES_H
#define VMGEXIT_HOST_PAGES_H

#include "vmgexit_memory.h"

/* RMPUPDATE of one page, which was the guest's or nobody's. */
static inline const char *vmgexit_change(uint64_t gpa, bool is_private)
{
    struct vmgexit_page *page = vmgexit_behind(gpa);

    if (page->rmp.assigned) {
        if (!vmgexit_is_mine(page, gpa))
            return "other";
        if (vmgexit_executes(gpa))
            return "in_use";
        if (page->rmp.huge)
            vmgexit_smash(page);
    }
    if (is_private)
        vmgexit_assign(page, gpa);
    else
        page->rmp = (struct vmgexit_rmp_entry){ .assigned = false };
    return NULL;
}

/* PSMASH. */
static inline const char *vmgexit_split(uint64_t gpa)
{
    struct vmgexit_page *page = vmgexit_behind(gpa);

    if (!page->rmp.huge)
        return "size";
    vmgexit_smash(page);
    return NULL;
}

/* The 512 pages of a chunk become one of 2 MiB, assigned and not validated. */
static inline const char *vmgexit_join(uint64_t gpa)
{
    const uint64_t chunk = gpa & -VMGEXIT_LARGE_PAGE;

    for (uint64_t at = chunk; at < chunk + VMGEXIT_LARGE_PAGE; at += VMGEXIT_PAGE) {
        const struct vmgexit_page *page = vmgexit_page_at(at);
        if (page->backed_by != at)
            return "mapping";
        if (page->rmp.assigned && page->rmp.gpa != at)
            return "other";
        if (page->rmp.assigned && vmgexit_executes(at))
            return "in_use";
    }
    vmgexit_put_entry(vmgexit_page_at(chunk), (struct vmgexit_rmp_entry){ .assigned = true, .huge = true, .gpa = chunk });
    return NULL;
}

/* Another system page backs the guest's page. The entry of the one before stays as it is. */
static inline const char *vmgexit_remap(uint64_t gpa, uint64_t spa, bool has_fill, uint8_t fill)
{
    struct vmgexit_page *before = vmgexit_behind(gpa), *page = vmgexit_page_at(spa);

    if (vmgexit_is_mine(before, gpa) && before->rmp.huge)
        vmgexit_smash(before);
    if (!page->rmp.assigned && has_fill)
        vmgexit_fill_page(page, fill);
    vmgexit_page_at(gpa)->backed_by = page->address;
    if (vmgexit_is_mine(page, gpa))
        return NULL; /* it was put back as it was */
    if (page->rmp.huge)
        vmgexit_smash(page);
    vmgexit_assign(page, gpa);
    return NULL;
}

static inline const char *vmgexit_host_page(const struct vmgexit_host_page_command *command)
{
    const bool is_private = command->to == VMGEXIT_PAGE_CHANGE_PRIVATE;
    const char *why;

    switch (command->to) {
    case VMGEXIT_PAGE_CHANGE_SPLIT:
        return vmgexit_split(command->gpa);
    case VMGEXIT_PAGE_CHANGE_JOIN:
        return vmgexit_join(command->gpa);
    case VMGEXIT_PAGE_CHANGE_REMAP:
        return vmgexit_remap(command->gpa, command->spa, command->has_fill, (uint8_t)command->fill);
    default:
        why = vmgexit_change(command->gpa, is_private);
        if (!why && command->has_fill)
            vmgexit_fill_page(vmgexit_behind(command->gpa), (uint8_t)command->fill);
        return why;
    }
}

enum { VMGEXIT_MAY_READ = 1, VMGEXIT_MAY_WRITE = 2 };

/* Why a VMPL, or the host, may not reach these bytes. */
static inline const char *vmgexit_no_access(uint64_t by, uint64_t start, uint64_t length, unsigned right)
{
    for (uint64_t i = 0; i < vmgexit_pages_of(start, length); i++) {
        const uint64_t gpa = (start & -VMGEXIT_PAGE) + i * VMGEXIT_PAGE;
        const struct vmgexit_page *page = vmgexit_behind(gpa);
        if (by == VMGEXIT_BY_HOST) {
            if (page->rmp.assigned)
                return "rmp";
        } else if (!vmgexit_is_mine(page, gpa)) {
            return "npf";
        } else if (!page->rmp.validated) {
            return "not_validated";
        } else if (!(page->rmp.perms[by & 3] & right)) {
            return "vmpl";
        }
    }
    return NULL;
}

/* RMPADJUST of 4 KiB by the guest at VMPL 2: its status, or why it faults. */
static inline const char *vmgexit_guest_rmpadjust(uint64_t gpa, uint64_t vmpl, uint64_t perms, unsigned *status)
{
    struct vmgexit_page *page = vmgexit_behind(gpa);

    if (!vmgexit_is_mine(page, gpa))
        return "npf";
    if (!page->rmp.validated)
        return "not_validated";
    if (page->rmp.huge)
        return "size";
    *status = 0;
    if (vmgexit_executes(gpa))
        *status = VMGEXIT_FAIL_INUSE;
    else if (vmpl <= VMGEXIT_GUEST_VMPL)
        *status = VMGEXIT_FAIL_PERMISSION;
    else if (vmpl > 3)
        *status = VMGEXIT_FAIL_INPUT;
    else if (perms & ~(uint64_t)page->rmp.perms[VMGEXIT_GUEST_VMPL])
        *status = VMGEXIT_FAIL_PERMISSION;
    else
        page->rmp.perms[vmpl] = (uint8_t)perms;
    return NULL;
}

/* VMRUN is possible: the VMSA is a page of this guest, validated, marked as one, of 4 KiB, with EFER.SVME. */
static inline bool vmgexit_can_run(uint64_t vmsa)
{
    struct vmgexit_page *page = vmgexit_behind(vmsa);
    const struct vmgexit_rmp_entry *rmp = &page->rmp;

    return vmgexit_is_mine(page, vmsa) && rmp->validated && rmp->vmsa && !rmp->huge &&
           vmgexit_content_of(page)->vmsa.efer & VMGEXIT_EFER_SVME;
}

/* A vCPU is in a guest that VMRUN can run. */
static inline bool vmgexit_has_guest(const struct vmgexit_place *place)
{
    return place->in_guest && !place->has_lost_vmsa && vmgexit_can_run(place->mapped.vmsa);
}

#endif /* VMGEXIT_HOST_PAGES_H */
