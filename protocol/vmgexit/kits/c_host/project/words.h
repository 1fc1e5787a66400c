/* The words in the GHCB MSR that the small host answers. */
#ifndef WORDS_H
#define WORDS_H

#include "vmgexit_asks.h"

#define FAILED 0x80000000 /* KVM's general failure */

static bool knows_word(const struct vmgexit_vm *vm, uint64_t word)
{
    switch (VMGEXIT_GET(word, VMGEXIT_GHCB_MSR_INFO)) {
    case VMGEXIT_GHCB_INFO_CODE_SEV_INFO_REQUEST:
    case VMGEXIT_GHCB_INFO_CODE_TERMINATION_REQUEST:
        return true;
    case VMGEXIT_GHCB_INFO_CODE_REGISTER_GPA_REQUEST:
    case VMGEXIT_GHCB_INFO_CODE_PAGE_STATE_REQUEST:
        return vm->setup.snp;
    default:
        return false;
    }
}

/* Make a page private or shared. */
static uint64_t page_state(const struct vmgexit_vm *vm, uint64_t word)
{
    const uint64_t gpa = VMGEXIT_GET(word, VMGEXIT_GHCB_MSR_PAGE_STATE_REQUEST_FRAME) * VMGEXIT_PAGE;
    const uint64_t operation = VMGEXIT_GET(word, VMGEXIT_GHCB_MSR_PAGE_STATE_REQUEST_OPERATION);
    const bool is_private = operation == VMGEXIT_PAGE_OPERATION_CODE_PRIVATE;
    const bool is_known = is_private || operation == VMGEXIT_PAGE_OPERATION_CODE_SHARED;
    const bool is_done = is_known && vm->setup.map_exit && vmgexit_ask_map(gpa, 1, is_private ? VMGEXIT_PRIVATE : 0);

    return VMGEXIT_PUT(VMGEXIT_GHCB_INFO_CODE_PAGE_STATE_RESPONSE, VMGEXIT_GHCB_MSR_PAGE_STATE_RESPONSE_ERROR,
                       is_done ? 0 : FAILED);
}

static struct vmgexit_run msr(const struct vmgexit_vm *vm, uint32_t cpu, uint64_t *word)
{
    uint64_t frame = VMGEXIT_GET(*word, VMGEXIT_GHCB_MSR_REGISTER_GPA_REQUEST_FRAME);

    switch (VMGEXIT_GET(*word, VMGEXIT_GHCB_MSR_INFO)) {
    case VMGEXIT_GHCB_INFO_CODE_TERMINATION_REQUEST:
        return (struct vmgexit_run){ .how = VMGEXIT_TERMINATE, .value = *word };
    case VMGEXIT_GHCB_INFO_CODE_REGISTER_GPA_REQUEST:
        if (vmgexit_is_memory(frame * VMGEXIT_PAGE, VMGEXIT_PAGE))
            vmgexit_vcpus[cpu].registered = frame * VMGEXIT_PAGE;
        else
            frame = UINT64_MAX; /* refused */
        *word = VMGEXIT_PUT(VMGEXIT_GHCB_INFO_CODE_REGISTER_GPA_RESPONSE, VMGEXIT_GHCB_MSR_REGISTER_GPA_RESPONSE_FRAME, frame);
        break;
    case VMGEXIT_GHCB_INFO_CODE_PAGE_STATE_REQUEST:
        *word = page_state(vm, *word);
        break;
    default:
        *word = VMGEXIT_GHCB_INFO_CODE_SEV_INFO_RESPONSE;
        *word = VMGEXIT_PUT(*word, VMGEXIT_GHCB_MSR_SEV_INFO_RESPONSE_C_BIT, vm->setup.c_bit);
        *word = VMGEXIT_PUT(*word, VMGEXIT_GHCB_MSR_SEV_INFO_RESPONSE_MIN_VERSION, 1);
        *word = VMGEXIT_PUT(*word, VMGEXIT_GHCB_MSR_SEV_INFO_RESPONSE_MAX_VERSION, vm->setup.ghcb_version);
    }
    return (struct vmgexit_run){ .how = VMGEXIT_GUEST };
}

#endif /* WORDS_H */
