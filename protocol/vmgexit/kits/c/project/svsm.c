/*
 * A small SVSM, to be replaced by yours: it counts registrations, and no vector is ever allowed.
 *
 * What the host posts is therefore dropped, level-triggered interrupts with a specific EOI. An NMI reaches
 * the guest. A vCPU is handed over to the host once the count is 0.
 */
#include "svsm.h"

#define NMI_EVENT VMGEXIT_PUT(VMGEXIT_EVENT_INJ_VALID_MASK, VMGEXIT_EVENT_INJ_TYPE, VMGEXIT_EVENT_TYPE_CODE_NMI)
#define IS_NMI (VMGEXIT_EVENT_INJ_VALID_MASK | VMGEXIT_EVENT_INJ_TYPE_MASK)

static uint64_t registrations;
static bool nmi_pending[VMGEXIT_MOST_VCPUS];

void svsm_init(struct vmgexit_vm *vm)
{
    registrations = vm->reg_count;
    memset(nmi_pending, 0, sizeof nmi_pending);
}

uint64_t svsm_reg_count(struct vmgexit_vm *vm)
{
    (void)vm;
    return registrations;
}

/* Calls that it does not have would be answered by a code; this SVSM has too few to be right about that. */
bool svsm_knows(uint32_t protocol, uint32_t request)
{
    if (protocol == VMGEXIT_PROTOCOL_CODE_APIC)
        return request <= VMGEXIT_APIC_CALL_CODE_CONFIGURE_EMULATION;
    return protocol == VMGEXIT_PROTOCOL_CODE_CORE && request == VMGEXIT_CORE_CALL_CODE_QUERY_PROTOCOL;
}

/* What runs first whenever the guest has left for the SVSM. */
static void handle_hv(struct vmgexit_vcpu *cpu)
{
    struct vmgexit_doorbell_head *page = &cpu->doorbell.head;
    const bool is_machine_check = page->flags & VMGEXIT_DOORBELL_FLAGS_MC_PENDING_MASK;

    if (!(page->flags & VMGEXIT_DOORBELL_FLAGS_NO_FURTHER_SIGNAL_MASK))
        return;
    page->flags &= VMGEXIT_DOORBELL_FLAGS_MC_PENDING_MASK | VMGEXIT_DOORBELL_FLAGS_RESERVED_6_2_MASK;
    page->vector = 0;
    if (is_machine_check)
        vmgexit_terminate("the host signalled a machine check");
}

/* Take what the host posted. A level-triggered vector that is not allowed is acknowledged at once. */
static void take_from_host(struct vmgexit_vcpu *cpu)
{
    uint32_t *status = &cpu->doorbell.words[VMGEXIT_STATUS_WORD];
    const uint32_t vector = VMGEXIT_GET(*status, VMGEXIT_EXT_INT_STATUS_PENDING_VECTOR);

    if (*status & VMGEXIT_EXT_INT_STATUS_NMI_PENDING_MASK)
        nmi_pending[cpu->index] = true;
    if (*status & VMGEXIT_EXT_INT_STATUS_LEVEL_SENSITIVE_MASK && vector)
        vmgexit_request(cpu, VMGEXIT_REQUEST_SPECIFIC_EOI, VMGEXIT_GUEST_VMPL << 16 | vector);
    if (*status & VMGEXIT_EXT_INT_STATUS_MULTIPLE_VECTORS_MASK) {
        *status &= ~VMGEXIT_EXT_INT_STATUS_VECTOR_31_MASK;
        memset(status + 1, 0, 7 * sizeof *status);
    }
    *status &= ~(VMGEXIT_EXT_INT_STATUS_PENDING_VECTOR_MASK | VMGEXIT_EXT_INT_STATUS_NMI_PENDING_MASK |
                 VMGEXIT_EXT_INT_STATUS_LEVEL_SENSITIVE_MASK | VMGEXIT_EXT_INT_STATUS_MULTIPLE_VECTORS_MASK);
}

/* The guest left for the host's own reasons: an event whose delivery was cut short is delivered again. */
void svsm_left(struct vmgexit_vcpu *cpu)
{
    struct vmgexit_guest *guest = &cpu->guest;

    handle_hv(cpu);
    guest->vintr &= ~VMGEXIT_VINTR_CTRL_BUSY_MASK;
    if (!guest->alternate_injection || !(guest->exit_int_info & VMGEXIT_EVENT_INJ_VALID_MASK))
        return;
    guest->event_inj = guest->exit_int_info;
    guest->exit_int_info = 0;
}

/* The guest goes on with another VMSA, and what was pending is gone. */
void svsm_new_vmsa(struct vmgexit_vcpu *cpu)
{
    cpu->guest.event_inj = 0;
    cpu->guest.vintr &= ~VMGEXIT_VINTR_CTRL_V_IRQ_MASK;
    nmi_pending[cpu->index] = false;
}

/* The guest is entered. vmgexit_window is the moment between the last look at NoFurtherSignal and VMGEXIT. */
void svsm_enter(struct vmgexit_vcpu *cpu)
{
    struct vmgexit_guest *guest = &cpu->guest;

    for (bool is_cancelled = true; is_cancelled;) {
        const bool has_event = cpu->doorbell.head.per_vmpl_events & VMGEXIT_VMPL_EVENTS_VMPL2_MASK;
        const bool is_ours = guest->alternate_injection; /* else its interrupts are the host's */
        handle_hv(cpu);
        cpu->doorbell.head.per_vmpl_events = 0;
        if (is_ours && has_event)
            take_from_host(cpu);
        if (is_ours && nmi_pending[cpu->index]) {
            cpu->calling.no_eoi_required = 0;
            if (!(guest->event_inj & VMGEXIT_EVENT_INJ_VALID_MASK)) {
                guest->event_inj = NMI_EVENT;
                nmi_pending[cpu->index] = false;
            }
        }
        is_cancelled = vmgexit_window(cpu);
        if (is_cancelled)
            svsm_left(cpu);
    }
}

/* Hand the vCPU over to the host: what is pending stands in the descriptor from here on. */
static void disable(struct vmgexit_vcpu *cpu)
{
    struct vmgexit_guest *guest = &cpu->guest;
    uint32_t *status = &cpu->doorbell.words[VMGEXIT_STATUS_WORD];
    const uint32_t vector = VMGEXIT_GET(*status, VMGEXIT_EXT_INT_STATUS_PENDING_VECTOR);
    uint64_t state = VMGEXIT_PUT(UINT64_C(0), VMGEXIT_DISABLE_INJECTION_VMPL, VMGEXIT_GUEST_VMPL);

    if ((guest->event_inj & IS_NMI) == NMI_EVENT) {
        guest->event_inj = 0;
        nmi_pending[cpu->index] = true;
    }
    if (vector >= 31 && !(*status & VMGEXIT_EXT_INT_STATUS_LEVEL_SENSITIVE_MASK))
        vmgexit_set_irr(cpu, vector);
    *status |= VMGEXIT_EXT_INT_STATUS_MULTIPLE_VECTORS_MASK;
    if (nmi_pending[cpu->index])
        *status |= VMGEXIT_EXT_INT_STATUS_NMI_PENDING_MASK;
    nmi_pending[cpu->index] = false;
    memset(cpu->doorbell.head.vmpl2.isr, 0, sizeof cpu->doorbell.head.vmpl2.isr);
    cpu->calling.no_eoi_required = 0;
    guest->alternate_injection = false;
    state = VMGEXIT_PUT(state, VMGEXIT_DISABLE_INJECTION_TPR, VMGEXIT_GET(guest->vintr, VMGEXIT_VINTR_CTRL_V_TPR) << 4);
    state = VMGEXIT_PUT(state, VMGEXIT_DISABLE_INJECTION_INTERRUPT_SHADOW,
                        VMGEXIT_GET(guest->vintr, VMGEXIT_VINTR_CTRL_INT_SHADOW));
    state = VMGEXIT_PUT(state, VMGEXIT_DISABLE_INJECTION_INTERRUPTS_ENABLED, guest->interrupts_enabled);
    if (!vmgexit_request(cpu, VMGEXIT_REQUEST_DISABLE_ALTERNATE_INJECTION, state))
        vmgexit_terminate("the host refused to disable Alternate Injection");
}

static uint64_t configure(struct vmgexit_vcpu *cpu, uint64_t request)
{
    if (request > 2)
        return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;
    if (request == 2) {
        if (!registrations || registrations == UINT32_MAX)
            return VMGEXIT_RESULT_CODE_CANNOT_REGISTER;
        registrations++;
        return VMGEXIT_RESULT_CODE_SUCCESS;
    }
    if (request == 1 && registrations)
        registrations--;
    if (!registrations)
        disable(cpu);
    return VMGEXIT_RESULT_CODE_SUCCESS;
}

/* QUERY_PROTOCOL: the highest and the lowest version, or 0. Every protocol has version 1 only. */
static uint64_t versions(const struct vmgexit_vcpu *cpu, uint64_t query)
{
    const uint64_t protocol = VMGEXIT_GET(query, VMGEXIT_SVSM_PROTOCOL_QUERY_PROTOCOL);
    const bool has = protocol <= VMGEXIT_PROTOCOL_CODE_ATTESTATION ||
                     (protocol == VMGEXIT_PROTOCOL_CODE_APIC && cpu->guest.alternate_injection);

    if (!has || VMGEXIT_GET(query, VMGEXIT_SVSM_PROTOCOL_QUERY_VERSION) != 1)
        return 0;
    return VMGEXIT_PUT(UINT64_C(1), VMGEXIT_SVSM_VERSION_RANGE_HIGHEST, 1);
}

void svsm_call(struct vmgexit_vcpu *cpu, struct vmgexit_registers *registers)
{
    handle_hv(cpu);
    if (registers->protocol == VMGEXIT_PROTOCOL_CODE_CORE)
        registers->rcx = versions(cpu, registers->rcx);
    else if (!cpu->guest.alternate_injection)
        registers->rax = VMGEXIT_RESULT_CODE_UNSUPPORTED_PROTOCOL;
    else if (registers->request == VMGEXIT_APIC_CALL_CODE_QUERY_FEATURES)
        registers->rcx = 0;
    else
        registers->rax = (uint32_t)configure(cpu, registers->rcx);
}
