/* What `init` says of a machine with memory: whether it can be, and its memory at first. */
#ifndef VMGEXIT_BEGIN_H
#define VMGEXIT_BEGIN_H

#include "vmgexit_memory.h"

static inline bool vmgexit_is_whole(uint64_t start, uint64_t length, uint64_t unit)
{
    return length && !(start % unit) && !(length % unit) && start + length - 1 <= VMGEXIT_LAST_ADDRESS;
}

static inline bool vmgexit_is_layout(const struct vmgexit_init_command *command)
{
    const struct vmgexit_ranges *memory = &command->memory;

    if (!command->has_memory || !command->has_svsm || !command->has_caa || !command->has_sev_features || !command->has_npf ||
        !command->has_unvalidated || memory->count > VMGEXIT_MOST_RANGES || command->pages.count > VMGEXIT_MOST_RANGES)
        return false;
    if (command->caa % VMGEXIT_PAGE || command->svsm.length < 2 * VMGEXIT_PAGE ||
        !vmgexit_is_whole(command->svsm.start, command->svsm.length, VMGEXIT_PAGE))
        return false;
    for (size_t i = 0; i < command->pages.count; i++) {
        const struct vmgexit_page_range *row = &command->pages.at[i];
        if (!vmgexit_is_whole(row->start, row->length, vmgexit_is_huge(row->state) ? VMGEXIT_LARGE_PAGE : VMGEXIT_PAGE))
            return false;
    }
    for (size_t i = 0; i < memory->count; i++) {
        if (!vmgexit_is_whole(memory->at[i].start, memory->at[i].length, VMGEXIT_PAGE))
            return false;
        for (size_t j = 0; j < i; j++) {
            if (memory->at[i].start < memory->at[j].start + memory->at[j].length &&
                memory->at[j].start < memory->at[i].start + memory->at[i].length)
                return false;
        }
    }
    return true;
}

/* The guest's memory without the SVSM's range. */
static inline void vmgexit_map_memory(const struct vmgexit_init_command *command)
{
    const uint64_t first = command->svsm.start, end = first + command->svsm.length;

    vmgexit_memory.map_count = 0;
    for (size_t i = 0; i < command->memory.count; i++) {
        const struct vmgexit_range range = command->memory.at[i];
        const uint64_t last = range.start + range.length;
        struct vmgexit_range *map = vmgexit_memory.map;
        if (end <= range.start || last <= first) {
            map[vmgexit_memory.map_count++] = range;
            continue;
        }
        if (range.start < first)
            map[vmgexit_memory.map_count++] = (struct vmgexit_range){ range.start, first - range.start };
        if (end < last)
            map[vmgexit_memory.map_count++] = (struct vmgexit_range){ end, last - end };
    }
}

static inline void vmgexit_begin_memory(const struct vmgexit_init_command *command)
{
    struct vmgexit_page_rows *rows = &vmgexit_pages.rows;
    const uint64_t boot = command->svsm.start + VMGEXIT_PAGE;
    struct vmgexit_page *page;

    vmgexit_forget_pages();
    rows->count = command->pages.count;
    for (size_t i = 0; i < rows->count; i++)
        rows->at[i] = command->pages.at[i];
    rows->at[rows->count++] = (struct vmgexit_page_range){
        .start = command->svsm.start, .length = command->svsm.length,
        .state = VMGEXIT_PAGE_STATE_VALID, .fill = VMGEXIT_SVSM_FILL,
    };
    memset(vmgexit_memory.places, 0, sizeof vmgexit_memory.places);
    vmgexit_memory.is_there = true;
    vmgexit_memory.has_apic = command->has_reg_count;
    vmgexit_memory.assigns = command->npf == VMGEXIT_NPF_ASSIGN;
    vmgexit_memory.faults_on_unvalidated = command->unvalidated == VMGEXIT_UNVALIDATED_VC;
    vmgexit_memory.svsm = command->svsm;
    vmgexit_map_memory(command);
    page = vmgexit_page_at(boot);
    page->rmp.vmsa = true;
    vmgexit_fill_page(page, 0);
    vmgexit_content_of(page)->vmsa.vmpl = VMGEXIT_GUEST_VMPL;
    vmgexit_content_of(page)->vmsa.efer = VMGEXIT_EFER_SVME;
    vmgexit_content_of(page)->vmsa.sev_features = command->sev_features;
    if (vmgexit_memory.has_apic)
        vmgexit_content_of(page)->vmsa.vintr_ctrl = VMGEXIT_VINTR_CTRL_VGIF_MASK;
    vmgexit_memory.places[0].home = (struct vmgexit_home){
        .vmsa = boot, .area = command->caa, .has_vmsa = true, .has_area = true,
    };
}

#endif /* VMGEXIT_BEGIN_H */
