/*
 * Events for VMPL 0: interrupts, NMIs and machine checks.
 *
 * They wait in a vCPU until the host enters it. It then tells them: by EVENTINJ, one at a time, or under
 * restricted injection by PendingEvent in the doorbell page of the vCPU, and #HV. The guest takes them.
 */
#ifndef VMGEXIT_EVENTS_H
#define VMGEXIT_EVENTS_H

#include "vmgexit_asks.h"

/* Events, each as EVENTINJ holds it: no more than one of each kind can be pending. */
struct vmgexit_events {
    uint64_t all[3];
    size_t count;
};

static inline void vmgexit_add_event(struct vmgexit_events *events, uint64_t event)
{
    events->all[events->count++] = event;
}

/* Take what EVENTINJ holds: an event, or none. */
static inline struct vmgexit_events vmgexit_take_injected(struct vmgexit_vcpu *vcpu)
{
    const struct vmgexit_events events = { .all = { vcpu->event_inj }, .count = vcpu->event_inj != 0 };

    vcpu->event_inj = 0;
    return events;
}

/* --- what waits ---------------------------------------------------------------------------------- */

static inline void vmgexit_add_vector(struct vmgexit_vectors *set, unsigned vector)
{
    set->bits[vector / 64] |= UINT64_C(1) << vector % 64;
}

static inline void vmgexit_drop_vector(struct vmgexit_vectors *set, unsigned vector)
{
    set->bits[vector / 64] &= ~(UINT64_C(1) << vector % 64);
}

/* The highest vector of a set; 0 of an empty one. */
static inline unsigned vmgexit_highest(const struct vmgexit_vectors *set)
{
    unsigned vector = 255;

    while (vector && !vmgexit_has_vector(set, vector))
        vector--;
    return vector;
}

static inline bool vmgexit_has_event(const struct vmgexit_vcpu *vcpu)
{
    return vcpu->waiting_machine_check || vcpu->waiting_nmi || vmgexit_highest(&vcpu->waiting_irqs);
}

/* Let an event wait that was not delivered. One that is none of the host's is dropped. */
static inline void vmgexit_wait_for(struct vmgexit_vcpu *vcpu, uint64_t event)
{
    if (event == VMGEXIT_NMI)
        vcpu->waiting_nmi = true;
    else if (event == VMGEXIT_MACHINE_CHECK)
        vcpu->waiting_machine_check = true;
    else if (event != VMGEXIT_HV)
        vmgexit_add_vector(&vcpu->waiting_irqs, event & 0xff);
}

/* --- the doorbell page --------------------------------------------------------------------------- */

/* PendingEvent: the first two bytes of the page. */
struct vmgexit_pending {
    uint8_t vector; /* 0: none */
    vmgexit_doorbell_flags flags;
};

static inline bool vmgexit_is_restricted(const struct vmgexit_vm *vm)
{
    return vm->setup.vmsa_features & VMGEXIT_SEV_FEATURES_RESTRICTED_INJECTION_MASK;
}

/* False where the vCPU has no doorbell page in guest memory. */
static inline bool vmgexit_load_pending(const struct vmgexit_vcpu *vcpu, struct vmgexit_pending *pending)
{
    uint8_t bytes[2];

    if (!vcpu->has_doorbell || !vmgexit_load(vcpu->doorbell, bytes, sizeof bytes))
        return false;
    *pending = (struct vmgexit_pending){ .vector = bytes[0], .flags = bytes[1] };
    return true;
}

static inline void vmgexit_store_pending(const struct vmgexit_vcpu *vcpu, struct vmgexit_pending pending)
{
    const uint8_t bytes[2] = { pending.vector, pending.flags };

    if (vcpu->has_doorbell)
        vmgexit_store(vcpu->doorbell, bytes, sizeof bytes);
}

static inline struct vmgexit_events vmgexit_events_of(struct vmgexit_pending pending)
{
    struct vmgexit_events events = { .count = 0 };

    if (pending.vector)
        vmgexit_add_event(&events, VMGEXIT_INTERRUPT | pending.vector);
    if (pending.flags & VMGEXIT_DOORBELL_FLAGS_NMI_PENDING_MASK)
        vmgexit_add_event(&events, VMGEXIT_NMI);
    if (pending.flags & VMGEXIT_DOORBELL_FLAGS_MC_PENDING_MASK)
        vmgexit_add_event(&events, VMGEXIT_MACHINE_CHECK);
    return events;
}

/* --- the guest ----------------------------------------------------------------------------------- */

/*
 * What VMPL 0 takes. Linux's #HV handler handles all of PendingEvent and clears it; with `tpr`, a class of
 * task priority, COCONUT-SVSM's leaves a vector that is not above it, and a machine check, which is fatal.
 */
static inline struct vmgexit_events vmgexit_take(const struct vmgexit_vm *vm, struct vmgexit_vcpu *vcpu, const uint64_t *tpr)
{
    struct vmgexit_events events = vmgexit_take_injected(vcpu);
    struct vmgexit_pending pending, stays = { .vector = 0 };

    if (!vmgexit_is_restricted(vm))
        return events;
    if (!vmgexit_load_pending(vcpu, &pending))
        return (struct vmgexit_events){ .count = 0 };
    if (tpr) {
        stays.flags = pending.flags & VMGEXIT_DOORBELL_FLAGS_MC_PENDING_MASK;
        if (pending.vector >> 4 <= *tpr) {
            stays.vector = pending.vector;
            pending.vector = 0;
        }
    }
    vmgexit_store_pending(vcpu, stays);
    return vmgexit_events_of(pending);
}

#endif /* VMGEXIT_EVENTS_H */
