/* How the small host tells VMPL 0 of events, and where the doorbell pages are. */
#ifndef EVENTS_H
#define EVENTS_H

#include "vmgexit_events.h"

#define NO_PAGE UINT64_MAX

/* The exit by which a vCPU says where its doorbell page is. SW_EXITINFO1 says what to do, SW_EXITINFO2 where it is. */
static struct vmgexit_run doorbell(uint32_t cpu, struct vmgexit_ghcb *page)
{
    struct vmgexit_vcpu *vcpu = &vmgexit_vcpus[cpu];
    const uint64_t address = page->sw_exit_info_2;
    uint64_t told = NO_PAGE;
    bool is_right = true;

    switch (page->sw_exit_info_1) {
    case VMGEXIT_DOORBELL_OPERATION_CODE_GET_PREFERRED:
        break;
    case VMGEXIT_DOORBELL_OPERATION_CODE_SET:
        is_right = address % VMGEXIT_PAGE == 0 && vmgexit_is_memory(address, VMGEXIT_PAGE);
        if (is_right) {
            vcpu->has_doorbell = true;
            vcpu->doorbell = told = address;
        }
        break;
    case VMGEXIT_DOORBELL_OPERATION_CODE_QUERY:
        told = vcpu->has_doorbell ? vcpu->doorbell : NO_PAGE;
        break;
    case VMGEXIT_DOORBELL_OPERATION_CODE_CLEAR:
        vcpu->has_doorbell = false;
        told = 0;
        break;
    default:
        is_right = false;
    }
    return is_right ? vmgexit_answered(page, VMGEXIT_STATUS_CODE_DONE, told)
                    : vmgexit_answered(page, VMGEXIT_STATUS_CODE_MALFORMED_INPUT, VMGEXIT_MALFORMED_INPUT_CODE_INVALID_INPUT);
}

/* Without restricted injection: the event that is most urgent, which no longer waits. */
static uint64_t next_event(struct vmgexit_vcpu *vcpu)
{
    const unsigned vector = vmgexit_highest(&vcpu->waiting_irqs);

    if (vcpu->waiting_machine_check) {
        vcpu->waiting_machine_check = false;
        return VMGEXIT_MACHINE_CHECK;
    }
    if (vcpu->waiting_nmi) {
        vcpu->waiting_nmi = false;
        return VMGEXIT_NMI;
    }
    if (!vector)
        return 0;
    vmgexit_drop_vector(&vcpu->waiting_irqs, vector);
    return VMGEXIT_INTERRUPT | vector;
}

/* Write one flag of an event that waits, unless the guest has not taken the one before. Whether that is news. */
static bool present(bool *waits, vmgexit_doorbell_flags *flags, unsigned flag)
{
    if (!*waits || *flags & flag)
        return false;
    *waits = false;
    *flags |= (vmgexit_doorbell_flags)flag;
    return true;
}

/* The same of the highest vector. In the place of a lower one, which waits again, it is no news. */
static bool present_vector(struct vmgexit_vcpu *vcpu, struct vmgexit_pending *pending)
{
    const unsigned vector = vmgexit_highest(&vcpu->waiting_irqs), before = pending->vector;

    if (vector <= before)
        return false;
    vmgexit_drop_vector(&vcpu->waiting_irqs, vector);
    pending->vector = (uint8_t)vector;
    if (before)
        vmgexit_add_vector(&vcpu->waiting_irqs, before);
    return !before;
}

/* VMPL 0 runs where something waits for it. #HV is injected unless the guest has one to handle. */
static void enter(const struct vmgexit_vm *vm, uint32_t cpu)
{
    struct vmgexit_vcpu *vcpu = &vmgexit_vcpus[cpu];
    struct vmgexit_pending pending;
    bool is_news = false;

    vcpu->event_inj = 0;
    if (vmgexit_has_event(vcpu))
        vcpu->vmpl = 0;
    if (vcpu->vmpl)
        return;
    if (!vmgexit_is_restricted(vm))
        vcpu->event_inj = next_event(vcpu);
    if (!vmgexit_is_restricted(vm) || !vmgexit_load_pending(vcpu, &pending))
        return;
    is_news |= present(&vcpu->waiting_machine_check, &pending.flags, VMGEXIT_DOORBELL_FLAGS_MC_PENDING_MASK);
    is_news |= present(&vcpu->waiting_nmi, &pending.flags, VMGEXIT_DOORBELL_FLAGS_NMI_PENDING_MASK);
    is_news |= present_vector(vcpu, &pending);
    if (is_news && !(pending.flags & VMGEXIT_DOORBELL_FLAGS_NO_FURTHER_SIGNAL_MASK)) {
        vcpu->event_inj = VMGEXIT_HV;
        pending.flags |= VMGEXIT_DOORBELL_FLAGS_NO_FURTHER_SIGNAL_MASK;
    }
    vmgexit_store_pending(vcpu, pending);
}

/* The last entry did not come to VMRUN. What it told waits again: where that was #HV, all of the page. */
static struct vmgexit_events cancel(const struct vmgexit_vm *vm, uint32_t cpu)
{
    struct vmgexit_vcpu *vcpu = &vmgexit_vcpus[cpu];
    struct vmgexit_events events = vmgexit_take_injected(vcpu);
    struct vmgexit_pending pending = { .vector = 0 };

    if (events.count && vmgexit_is_restricted(vm)) {
        vmgexit_load_pending(vcpu, &pending);
        events = vmgexit_events_of(pending);
        vmgexit_store_pending(vcpu, (struct vmgexit_pending){ .vector = 0 });
    }
    for (size_t i = 0; i < events.count; i++)
        vmgexit_wait_for(vcpu, events.all[i]);
    return events;
}

#endif /* EVENTS_H */
