/* From the guest to the SVSM and back, where the state of a guest is a page: its VMSA. */
#ifndef VMGEXIT_SWITCH_H
#define VMGEXIT_SWITCH_H

#include "vmgexit_host_pages.h"

#define VMGEXIT_RFLAGS_IF UINT64_C(0x200)

/* The calls into an SVSM with memory. */
struct vmgexit_svsm_on_memory {
    /* It emulates APICs on such a machine too, by `enter`, `left` and `new_vmsa` of `struct vmgexit_svsm`. Its
     * `left` is called whenever the guest left. */
    bool has_apic;
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
static const struct vmgexit_svsm *vmgexit_of_interrupts;

/* A VMSA, or a calling area: only the host, or the SVSM itself, can have taken it. */
static inline union vmgexit_content *vmgexit_own_page(uint64_t gpa)
{
    if (!vmgexit_touch(gpa, 1))
        vmgexit_terminate("a VMSA or a calling area was taken");
    return vmgexit_content_at(gpa);
}

/* --- the guest of an SVSM that emulates APICs: it works on a copy of what VMSA and calling area hold ------ */

static inline struct vmgexit_guest vmgexit_guest_in(const struct vmgexit_vmsa *vmsa)
{
    return (struct vmgexit_guest){
        .interrupts_enabled = vmsa->rflags & VMGEXIT_RFLAGS_IF,
        .alternate_injection = vmsa->sev_features & VMGEXIT_SEV_FEATURES_ALTERNATE_INJECTION_MASK,
        .vintr = vmsa->vintr_ctrl, .event_inj = vmsa->event_inj, .exit_int_info = vmsa->guest_exitintinfo,
    };
}

static inline void vmgexit_load_calling_area(struct vmgexit_vcpu *cpu)
{
    const struct vmgexit_home *mapped = &vmgexit_place_of(cpu)->mapped;

    if (!mapped->has_area)
        return;
    cpu->calling_address = mapped->area;
    vmgexit_load(mapped->area + offsetof(struct vmgexit_calling_area, no_eoi_required), &cpu->calling.no_eoi_required, 1);
}

static inline void vmgexit_load_guest(struct vmgexit_vcpu *cpu)
{
    cpu->guest = vmgexit_guest_in(&vmgexit_content_at(vmgexit_place_of(cpu)->mapped.vmsa)->vmsa);
    vmgexit_load_calling_area(cpu);
}

static inline void vmgexit_store_guest(const struct vmgexit_vcpu *cpu)
{
    const struct vmgexit_home *mapped = &vmgexit_place_of(cpu)->mapped;
    const struct vmgexit_guest *guest = &cpu->guest;
    struct vmgexit_vmsa *vmsa = &vmgexit_content_at(mapped->vmsa)->vmsa;
    const struct vmgexit_page *area = vmgexit_behind(mapped->area);

    vmsa->vintr_ctrl = guest->vintr;
    vmsa->event_inj = guest->event_inj;
    vmsa->guest_exitintinfo = guest->exit_int_info;
    vmsa->rflags = (vmsa->rflags & ~VMGEXIT_RFLAGS_IF) | (guest->interrupts_enabled ? VMGEXIT_RFLAGS_IF : 0);
    vmsa->sev_features =
        VMGEXIT_PUT(vmsa->sev_features, VMGEXIT_SEV_FEATURES_ALTERNATE_INJECTION, guest->alternate_injection);
    if (mapped->has_area && vmgexit_is_mine(area, mapped->area) && area->rmp.validated)
        vmgexit_content_at(mapped->area)->calling.no_eoi_required = cpu->calling.no_eoi_required;
}

/* The vCPU has another VMSA than before, or another calling area. */
static inline void vmgexit_move_guest(struct vmgexit_vcpu *cpu, bool has_new_vmsa)
{
    if (has_new_vmsa) {
        cpu->new_guest = vmgexit_guest_in(&vmgexit_content_at(vmgexit_place_of(cpu)->mapped.vmsa)->vmsa);
        const bool says_emulated = cpu->new_guest.alternate_injection;
        cpu->has_new_guest = true;
        vmgexit_take_up(vmgexit_of_interrupts, cpu);
        /* One that was handed over to the host stays so, whatever its next VMSA says. */
        cpu->guest.alternate_injection &= says_emulated;
    }
    vmgexit_load_calling_area(cpu);
}

/* --- in and out ---------------------------------------------------------------------------------- */

static inline void vmgexit_put_registers(struct vmgexit_vmsa *vmsa, uint64_t rax, const struct vmgexit_registers *from)
{
    vmsa->rax = rax;
    vmsa->rcx = from->rcx;
    vmsa->rdx = from->rdx;
    vmsa->r8 = from->r8;
}

/* The SVSM enters the guest where the vCPU is at home, with the answer to a call if there is one. */
static inline void vmgexit_enter_guest(struct vmgexit_vcpu *cpu, const struct vmgexit_registers *answer)
{
    struct vmgexit_place *place = vmgexit_place_of(cpu);
    const struct vmgexit_home left = place->mapped, *mapped = &place->home;
    const bool has_new_vmsa = place->has_lost_vmsa || !left.has_vmsa || left.vmsa != mapped->vmsa;
    struct vmgexit_vmsa *vmsa;

    place->mapped = place->home;
    place->in_guest = place->home.has_vmsa;
    place->has_lost_vmsa = false;
    if (!place->in_guest)
        return;
    vmsa = &vmgexit_own_page(place->mapped.vmsa)->vmsa;
    if (vmgexit_memory.has_apic) {
        if (has_new_vmsa || left.area != mapped->area)
            vmgexit_move_guest(cpu, has_new_vmsa);
        vmgexit_store_guest(cpu);
    }
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
    if (vmgexit_memory.has_apic) {
        vmgexit_load_guest(cpu);
        cpu->guest.exit_int_info = 0;
        cpu->guest.vintr &= ~VMGEXIT_VINTR_CTRL_BUSY_MASK;
        vmgexit_of_interrupts->left(cpu);
    }
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
    if (vmgexit_memory.has_apic && !place->has_lost_vmsa)
        vmgexit_store_guest(cpu);
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
