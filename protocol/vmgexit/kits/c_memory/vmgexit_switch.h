/* From the guest to the SVSM and back, where the state of a guest is a page: its VMSA. */
#ifndef VMGEXIT_SWITCH_H
#define VMGEXIT_SWITCH_H

#include "vmgexit_host_pages.h"

/* The calls into an SVSM with memory. */
struct vmgexit_svsm_on_memory {
    /* A fresh SVSM: vCPU 0 is at home in the first VMSA. Memory is as it is to be. */
    void (*init)(struct vmgexit_vm *vm);
    /* Whether it has such a call; NULL: it answers all of them itself, by codes where it does not. */
    bool (*knows)(uint32_t protocol, uint32_t request);
    /* The guest called. Its VMSA is vmgexit_place_of(cpu)->mapped.vmsa; the registers go back there. */
    void (*call)(struct vmgexit_vcpu *cpu, struct vmgexit_registers *registers);
    /* The VMSAs that it knows, at most so many: how many there are. May be NULL. */
    size_t (*registry)(struct vmgexit_registration *rows, size_t most);
};

static const struct vmgexit_svsm_on_memory *vmgexit_on_memory;

/* A VMSA, or a calling area: only the host, or the SVSM itself, can have taken it. */
static inline union vmgexit_content *vmgexit_own_page(uint64_t gpa)
{
    if (!vmgexit_touch(gpa, 1))
        vmgexit_terminate("a VMSA or a calling area was taken");
    return vmgexit_content_at(gpa);
}

static inline void vmgexit_put_registers(struct vmgexit_vmsa *vmsa, uint64_t rax, const struct vmgexit_registers *from)
{
    vmsa->rax = rax;
    vmsa->rcx = from->rcx;
    vmsa->rdx = from->rdx;
    vmsa->r8 = from->r8;
}

/* The SVSM enters the guest where the vCPU is at home, with the answer to a call if there is one. */
static inline void vmgexit_enter_guest(const struct vmgexit_vcpu *cpu, const struct vmgexit_registers *answer)
{
    struct vmgexit_place *place = vmgexit_place_of(cpu);
    struct vmgexit_vmsa *vmsa;

    place->mapped = place->home;
    place->in_guest = place->home.has_vmsa;
    place->has_lost_vmsa = false;
    if (!place->in_guest)
        return;
    vmsa = &vmgexit_own_page(place->mapped.vmsa)->vmsa;
    if (answer)
        vmgexit_put_registers(vmsa, answer->rax, answer);
    vmsa->efer |= VMGEXIT_EFER_SVME;
    vmgexit_flush_all();
    VMGEXIT_NOTE("enter", place->mapped.vmsa);
}

/* Whether the guest left for a call that waits; it waits no longer. */
static inline bool vmgexit_takes_call(const struct vmgexit_home *mapped, const struct vmgexit_vmsa *vmsa)
{
    struct vmgexit_calling_area *area;
    bool waits;

    if (vmsa->guest_exit_code != VMGEXIT_EXIT_CODE_VMGEXIT || !mapped->has_area)
        return false;
    area = &vmgexit_own_page(mapped->area)->calling;
    waits = area->call_pending;
    area->call_pending = 0;
    return waits;
}

/* The guest left: the SVSM serves what it called, and enters it again. */
static inline void vmgexit_leave_guest(struct vmgexit_vcpu *cpu)
{
    struct vmgexit_place *place = vmgexit_place_of(cpu);
    const struct vmgexit_home mapped = place->mapped;
    struct vmgexit_vmsa *vmsa;
    struct vmgexit_registers registers;

    place->executes = false;
    if (place->has_lost_vmsa) {
        vmgexit_enter_guest(cpu, NULL);
        return;
    }
    vmsa = &vmgexit_own_page(mapped.vmsa)->vmsa;
    vmsa->efer &= ~VMGEXIT_EFER_SVME;
    if (!vmgexit_takes_call(&mapped, vmsa)) {
        vmgexit_enter_guest(cpu, NULL);
        return;
    }
    registers = (struct vmgexit_registers){
        .protocol = (uint32_t)(vmsa->rax >> 32), .request = (uint32_t)vmsa->rax,
        .rcx = vmsa->rcx, .rdx = vmsa->rdx, .r8 = vmsa->r8,
    };
    VMGEXIT_NOTE("request", registers.protocol, registers.request);
    vmgexit_on_memory->call(cpu, &registers);
    if (place->home.has_vmsa && place->home.vmsa == mapped.vmsa) {
        vmgexit_enter_guest(cpu, &registers);
        return;
    }
    if (!place->has_lost_vmsa) /* it is at home elsewhere now: the answer goes where the call came from */
        vmgexit_put_registers(&vmgexit_own_page(mapped.vmsa)->vmsa, registers.rax, &registers);
    vmgexit_enter_guest(cpu, NULL);
}

/* The guest calls: whether it ran. */
static inline bool vmgexit_call_from_guest(struct vmgexit_vcpu *cpu, const struct vmgexit_call_command *command)
{
    struct vmgexit_place *place = vmgexit_place_of(cpu);
    const struct vmgexit_registers registers = { .rcx = command->rcx, .rdx = command->rdx, .r8 = command->r8 };
    bool ran;

    if (!place->in_guest || place->has_lost_vmsa)
        vmgexit_enter_guest(cpu, NULL);
    if (!place->in_guest)
        return false;
    ran = vmgexit_can_run(place->mapped.vmsa);
    if (ran) {
        struct vmgexit_vmsa *vmsa = &vmgexit_content_at(place->mapped.vmsa)->vmsa;
        const uint64_t area = place->mapped.area;
        vmgexit_put_registers(vmsa, command->protocol << 32 | command->request, &registers);
        vmsa->guest_exit_code = VMGEXIT_EXIT_CODE_VMGEXIT;
        if ((!command->has_pending || command->pending) && place->mapped.has_area &&
            !vmgexit_no_access(VMGEXIT_GUEST_VMPL, area, 1, VMGEXIT_MAY_WRITE))
            vmgexit_content_at(area)->calling.call_pending = 1;
    }
    vmgexit_leave_guest(cpu);
    return ran;
}

#endif /* VMGEXIT_SWITCH_H */
