/* An adapter around the SVSM of svsm.h. ./adapter --bugs ppr,window: with these bugs; all: all ten; none: without. */
#include "svsm.h"
#include "vmgexit_adapter.h"

static const char *const names[SVSM_BUGS] = { "ppr",    "vector-31", "level-eoi", "register", "lazy",
                                              "oldest", "last-word", "ldr",       "window",   "refused" };

/* --- what the SVSM calls: its platform is the kit ------------------------------------------------ */

static struct vmgexit_vm *machine;

static struct vmgexit_vcpu *kits(const struct cpu *cpu)
{
    return &machine->vcpus[cpu - svsm_cpus];
}

bool platform_vmgexit(struct cpu *cpu, enum ghcb_exit code, uint64_t info1)
{
    const enum vmgexit_request request = code == HV_IPI         ? VMGEXIT_REQUEST_HV_IPI
                                         : code == SPECIFIC_EOI ? VMGEXIT_REQUEST_SPECIFIC_EOI
                                                                : VMGEXIT_REQUEST_DISABLE_ALTERNATE_INJECTION;

    return vmgexit_request(kits(cpu), request, info1);
}

bool platform_vmrun(struct cpu *cpu)
{
    return !vmgexit_window(kits(cpu));
}

_Noreturn void platform_terminate(const char *why)
{
    vmgexit_terminate(why);
}

_Noreturn void platform_panic(const char *why)
{
    vmgexit_panic(why);
}

/* --- what the kit calls: the SVSM, with the guest's VMSA given and taken back --------------------- */

static struct cpu *entered(struct vmgexit_vcpu *cpu)
{
    const struct vmgexit_guest *guest = &cpu->guest;
    struct cpu *own = &svsm_cpus[cpu->index];

    own->calling_area = cpu->calling_address;
    own->vmsa = (struct vmsa){ .vintr_ctrl = guest->vintr,
                               .event_inj = guest->event_inj,
                               .exit_int_info = guest->exit_int_info,
                               .interrupts_enabled = guest->interrupts_enabled,
                               .alternate_injection = guest->alternate_injection };
    return own;
}

static void left(struct vmgexit_vcpu *cpu, const struct cpu *own)
{
    cpu->guest.vintr = own->vmsa.vintr_ctrl;
    cpu->guest.event_inj = own->vmsa.event_inj;
    cpu->guest.exit_int_info = own->vmsa.exit_int_info;
    cpu->guest.alternate_injection = own->vmsa.alternate_injection;
    if (own->calling_area != cpu->calling_address)
        vmgexit_move_calling_area(cpu, own->calling_area);
}

static void adapter_init(struct vmgexit_vm *vm)
{
    machine = vm;
    svsm_cpu_count = vm->cpus;
    svsm_registrations = vm->reg_count;
    for (uint32_t i = 0; i < vm->cpus; i++) {
        struct vmgexit_vcpu *cpu = &vm->vcpus[i];
        svsm_cpus[i] = (struct cpu){ .apic_id = cpu->apic_id,
                                     .doorbell = cpu->doorbell.words,
                                     .no_eoi_required = &cpu->calling.no_eoi_required };
        entered(cpu);
    }
}

/* Of the core calls it has two; attestation is not its business. */
static bool adapter_knows(uint32_t protocol, uint32_t request)
{
    if (protocol == VMGEXIT_PROTOCOL_CODE_CORE)
        return request == VMGEXIT_CORE_CALL_CODE_REMAP_CA || request == VMGEXIT_CORE_CALL_CODE_QUERY_PROTOCOL;
    return protocol != VMGEXIT_PROTOCOL_CODE_ATTESTATION;
}

static void adapter_call(struct vmgexit_vcpu *cpu, struct vmgexit_registers *registers)
{
    struct cpu *own = entered(cpu);
    struct call call = { .rax = (uint64_t)registers->protocol << 32 | registers->request,
                         .rcx = registers->rcx,
                         .rdx = registers->rdx,
                         .r8 = registers->r8 };

    svsm_handle_call(own, &call);
    left(cpu, own);
    registers->rax = (uint32_t)call.rax;
    registers->rcx = call.rcx;
    registers->rdx = call.rdx;
    registers->r8 = call.r8;
}

static void adapter_enter(struct vmgexit_vcpu *cpu)
{
    struct cpu *own = entered(cpu);

    svsm_enter_guest(own);
    left(cpu, own);
}

static void adapter_left(struct vmgexit_vcpu *cpu)
{
    struct cpu *own = entered(cpu);

    svsm_guest_left(own);
    left(cpu, own);
}

static void adapter_new_vmsa(struct vmgexit_vcpu *cpu)
{
    struct cpu *own = entered(cpu);

    svsm_new_vcpu(own);
    left(cpu, own);
}

/* Of level-triggered vectors those in service are shown, too. */
static const struct vmgexit_apic *adapter_apic(struct vmgexit_vcpu *cpu)
{
    static struct vmgexit_apic shown;
    const struct local_apic *apic = &svsm_cpus[cpu->index].apic;

    shown = (struct vmgexit_apic){ .icr = apic->icr,
                                   .isr_count = apic->in_service,
                                   .update_required = apic->update_required,
                                   .interrupt_delivered = apic->interrupt_delivered,
                                   .interrupt_queued = apic->interrupt_queued,
                                   .lazy_eoi_pending = apic->lazy_eoi_pending,
                                   .nmi_pending = apic->nmi_pending,
                                   .ipi_pending = apic->has_mail,
                                   .ipi_nmi = apic->nmi_sent };
    memcpy(shown.irr, apic->irr, sizeof shown.irr);
    memcpy(shown.allowed, apic->allowed, sizeof shown.allowed);
    memcpy(shown.tmr, apic->tmr, sizeof shown.tmr);
    memcpy(shown.host_tmr, apic->host_tmr, sizeof shown.host_tmr);
    memcpy(shown.ipi_irr, apic->sent, sizeof shown.ipi_irr);
    memcpy(shown.isr_stack, apic->isr, sizeof shown.isr_stack);
    for (unsigned i = 0; i < apic->in_service; i++) {
        if (apic->is_level[i]) {
            vmgexit_add(shown.tmr, apic->isr[i]);
            vmgexit_add(shown.host_tmr, apic->isr[i]);
        }
    }
    return &shown;
}

static uint64_t adapter_reg_count(struct vmgexit_vm *vm)
{
    (void)vm;
    return svsm_registrations;
}

static const struct vmgexit_svsm adapter = {
    .name = "an APIC SVSM in C",
    .profile = "reference",
    .stays = true,
    .init = adapter_init,
    .knows = adapter_knows,
    .call = adapter_call,
    .enter = adapter_enter,
    .left = adapter_left,
    .new_vmsa = adapter_new_vmsa,
    .apic = adapter_apic,
    .reg_count = adapter_reg_count,
};

/* Switch on the bugs whose names are in the list; false if it has an unknown one. */
static bool switch_on(char *list)
{
    for (char *name = strtok(list, ","); name; name = strtok(NULL, ",")) {
        bool is_known = strcmp(name, "none") == 0;
        for (int bug = 0; bug < SVSM_BUGS; bug++) {
            if (strcmp(name, names[bug]) == 0 || strcmp(name, "all") == 0)
                svsm_bugs[bug] = is_known = true;
        }
        if (!is_known)
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct vmgexit_svsm svsm = adapter;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--binary") == 0) {
            svsm.binary = true;
        } else if (i + 1 == argc || strcmp(argv[i], "--bugs") != 0 || !switch_on(argv[++i])) {
            fprintf(stderr, "usage: %s [--binary] [--bugs NAME,...]\n", argv[0]);
            return 2;
        }
    }
    return vmgexit_answer_commands(&svsm);
}
