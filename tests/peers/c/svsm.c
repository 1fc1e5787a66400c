/* The SVSM of svsm.h: registration by count, a local APIC for each vCPU, IPIs, and the switch to the guest. */
#include "svsm.h"

#define VALID VMGEXIT_EVENT_INJ_VALID_MASK
#define NMI_EVENT (VALID | VMGEXIT_EVENT_TYPE_CODE_NMI << VMGEXIT_EVENT_INJ_TYPE_SHIFT)
#define IS_EXTERNAL(event) (((event) & (VALID | VMGEXIT_EVENT_INJ_TYPE_MASK)) == VALID)
#define NMI VMGEXIT_EXT_INT_STATUS_NMI_PENDING_MASK
#define LEVEL VMGEXIT_EXT_INT_STATUS_LEVEL_SENSITIVE_MASK
#define SEVERAL VMGEXIT_EXT_INT_STATUS_MULTIPLE_VECTORS_MASK
#define THE_31ST VMGEXIT_EXT_INT_STATUS_VECTOR_31_MASK
#define V_IRQ VMGEXIT_VINTR_CTRL_V_IRQ_MASK
#define SHADOW VMGEXIT_VINTR_CTRL_INT_SHADOW_MASK

bool svsm_bugs[SVSM_BUGS];

static struct local {
    struct vmgexit_apic apic;
    bool level[16];                  /* of each interrupt in service */
    uint64_t tpr_class, tpr_low;     /* V_TPR when the TPR was last written, and its low bits */
} locals[VMGEXIT_MOST_VCPUS];
static uint64_t registrations;

static unsigned newest(struct local *local)
{
    return local->apic.isr_count ? local->apic.isr_stack[local->apic.isr_count - 1] : 0;
}

static void accept(struct local *local, unsigned vector)
{
    vmgexit_add(local->apic.irr, vector);
    local->apic.update_required = true;
}

static void accept_level(struct local *local, unsigned vector)
{
    vmgexit_add(local->apic.tmr, vector);
    vmgexit_add(local->apic.host_tmr, vector);
    accept(local, vector);
}

static void end_of_interrupt(struct vmgexit_vcpu *cpu, struct local *local)
{
    struct vmgexit_apic *apic = &local->apic;
    uint32_t at = svsm_bugs[OLDEST] ? 0 : apic->isr_count - 1;

    if (!apic->isr_count)
        return;
    if (local->level[at])
        vmgexit_request(cpu, VMGEXIT_REQUEST_SPECIFIC_EOI, VMGEXIT_GUEST_VMPL << 16 | apic->isr_stack[at]);
    for (apic->isr_count--; at < apic->isr_count; at++) {
        apic->isr_stack[at] = apic->isr_stack[at + 1];
        local->level[at] = local->level[at + 1];
    }
    apic->update_required = true;
    apic->lazy_eoi_pending = false;
}

/* What was presented, and the guest has not taken, is pending again. */
static bool take_back(struct local *local, unsigned vector)
{
    struct vmgexit_apic *apic = &local->apic;

    if (!apic->isr_count || newest(local) != vector)
        return false;
    if (local->level[--apic->isr_count])
        accept_level(local, vector);
    accept(local, vector);
    apic->lazy_eoi_pending = false;
    return true;
}

static void rewind_all(struct vmgexit_vcpu *cpu, struct local *local)
{
    struct vmgexit_apic *apic = &local->apic;
    struct vmgexit_guest *guest = &cpu->guest;

    if (apic->interrupt_delivered && IS_EXTERNAL(guest->event_inj) &&
        take_back(local, guest->event_inj & 0xff))
        guest->event_inj = 0;
    if (apic->interrupt_queued && guest->vintr & V_IRQ &&
        take_back(local, (unsigned)VMGEXIT_GET(guest->vintr, VMGEXIT_VINTR_CTRL_V_INTR_VECTOR)))
        guest->vintr &= ~V_IRQ;
    apic->interrupt_delivered = apic->interrupt_queued = false;
    if (apic->lazy_eoi_pending && !cpu->calling.no_eoi_required)
        end_of_interrupt(cpu, local);
}

static uint64_t task_priority(struct vmgexit_vcpu *cpu, struct local *local)
{
    uint64_t class = VMGEXIT_GET(cpu->guest.vintr, VMGEXIT_VINTR_CTRL_V_TPR);

    return (class << 4 & 0xff) | (class == local->tpr_class ? local->tpr_low : 0);
}

static uint64_t processor_priority(struct vmgexit_vcpu *cpu, struct local *local)
{
    uint64_t tpr = task_priority(cpu, local);

    if (newest(local) >> 4 <= tpr >> 4)
        return tpr;
    return svsm_bugs[PPR] ? newest(local) : newest(local) & 0xf0;
}

static void handle_hv(struct vmgexit_vcpu *cpu)
{
    struct vmgexit_doorbell_head *page = &cpu->doorbell.head;
    bool is_machine_check = page->flags & VMGEXIT_DOORBELL_FLAGS_MC_PENDING_MASK;

    if (!(page->flags & VMGEXIT_DOORBELL_FLAGS_NO_FURTHER_SIGNAL_MASK))
        return;
    page->flags &= (uint8_t)~(VMGEXIT_DOORBELL_FLAGS_NO_FURTHER_SIGNAL_MASK | VMGEXIT_DOORBELL_FLAGS_NMI_PENDING_MASK);
    page->vector = 0;
    if (is_machine_check)
        vmgexit_terminate("the host signalled a machine check");
}

static void take_edge(struct local *local, unsigned vector)
{
    if (vector && vmgexit_has(local->apic.allowed, vector))
        accept(local, vector);
}

static void take_from_host(struct vmgexit_vcpu *cpu, struct local *local)
{
    uint32_t *words = &cpu->doorbell.words[VMGEXIT_STATUS_WORD];
    const uint32_t status = *words;
    unsigned vector = status & 0xff;

    *words &= ~(NMI | LEVEL | SEVERAL | 0xff);
    if (status & NMI)
        local->apic.nmi_pending = local->apic.update_required = true;
    if (!(status & LEVEL))
        take_edge(local, vector);
    else if (vector && vmgexit_has(local->apic.allowed, vector))
        accept_level(local, vector);
    else if (vector && !svsm_bugs[LEVEL_EOI])
        vmgexit_request(cpu, VMGEXIT_REQUEST_SPECIFIC_EOI, VMGEXIT_GUEST_VMPL << 16 | vector);
    if (!(status & SEVERAL))
        return;
    if (status & THE_31ST)
        take_edge(local, 31);
    *words &= ~THE_31ST;
    for (vector = 32; vector < (svsm_bugs[LAST_WORD] ? 224 : 256); vector++) {
        if (vmgexit_drop(words, vector))
            take_edge(local, vector);
    }
}

static void take_mailbox(struct local *local)
{
    struct vmgexit_apic *apic = &local->apic;

    if (!apic->ipi_pending)
        return;
    for (int i = 0; i < 8; i++)
        apic->irr[i] |= apic->ipi_irr[i];
    memset(apic->ipi_irr, 0, sizeof apic->ipi_irr);
    apic->nmi_pending |= apic->ipi_nmi;
    apic->ipi_pending = apic->ipi_nmi = false;
    apic->update_required = true;
}

static void present(struct vmgexit_vcpu *cpu, struct local *local)
{
    struct vmgexit_apic *apic = &local->apic;
    struct vmgexit_guest *guest = &cpu->guest;
    bool was_free, was_idle, at_once, level;
    unsigned vector;

    if (!apic->update_required)
        return;
    rewind_all(cpu, local);
    was_free = !(guest->event_inj & VALID);
    apic->update_required = apic->nmi_pending && !was_free;
    if (apic->nmi_pending && was_free)
        guest->event_inj = NMI_EVENT;
    apic->nmi_pending &= !was_free;
    apic->lazy_eoi_pending = false;
    cpu->calling.no_eoi_required = 0;
    vector = vmgexit_top(apic->irr);
    if (vector >> 4 <= newest(local) >> 4)
        return;
    was_idle = !apic->isr_count;
    at_once = guest->interrupts_enabled && !(guest->vintr & SHADOW) && !(guest->event_inj & VALID) &&
              vector >> 4 > processor_priority(cpu, local) >> 4;
    if (at_once) {
        guest->event_inj = VALID | vector;
        apic->interrupt_delivered = true;
    } else {
        guest->vintr = VMGEXIT_PUT(guest->vintr, VMGEXIT_VINTR_CTRL_V_INTR_VECTOR, vector);
        guest->vintr = VMGEXIT_PUT(guest->vintr, VMGEXIT_VINTR_CTRL_V_INTR_PRIO, vector >> 4);
        guest->vintr = VMGEXIT_PUT(guest->vintr, VMGEXIT_VINTR_CTRL_V_IGN_TPR, 0) | V_IRQ;
        apic->interrupt_queued = true;
    }
    vmgexit_drop(apic->irr, vector);
    level = local->level[apic->isr_count] = vmgexit_drop(apic->tmr, vector);
    vmgexit_drop(apic->host_tmr, vector);
    apic->isr_stack[apic->isr_count++] = (uint8_t)vector;
    if ((at_once || was_idle) && (svsm_bugs[LAZY] || !level) && !vmgexit_top(apic->irr))
        cpu->calling.no_eoi_required = apic->lazy_eoi_pending = true;
}

/* An event whose delivery was cut short is delivered again. */
static void reinject(struct vmgexit_vcpu *cpu)
{
    struct vmgexit_guest *guest = &cpu->guest;
    struct local *local = &locals[cpu->index];

    guest->vintr &= ~VMGEXIT_VINTR_CTRL_BUSY_MASK;
    if (!guest->alternate_injection || !(guest->exit_int_info & VALID))
        return;
    guest->event_inj = guest->exit_int_info;
    guest->exit_int_info = 0;
    if (local->apic.isr_count && IS_EXTERNAL(guest->event_inj) && newest(local) == (guest->event_inj & 0xff))
        local->apic.interrupt_delivered = true;
}

/* --- calls -------------------------------------------------------------------------------------- */

/* The host has this vCPU's interrupts from here on. */
static void disable(struct vmgexit_vcpu *cpu, struct local *local)
{
    uint32_t *words = &cpu->doorbell.words[VMGEXIT_STATUS_WORD];
    struct vmgexit_guest *guest = &cpu->guest;
    uint64_t tpr, state = VMGEXIT_GUEST_VMPL << VMGEXIT_DISABLE_INJECTION_VMPL_SHIFT;

    rewind_all(cpu, local);
    take_mailbox(local);
    if ((guest->event_inj & (VALID | VMGEXIT_EVENT_INJ_TYPE_MASK)) == NMI_EVENT) {
        guest->event_inj = 0;
        local->apic.nmi_pending = true;
    }
    *words |= SEVERAL | (local->apic.nmi_pending ? NMI : 0);
    if (!(*words & LEVEL) && (*words & 0xff) >= 31)
        vmgexit_add(local->apic.irr, *words & 0xff);
    if (vmgexit_has(local->apic.irr, 31) && !svsm_bugs[VECTOR_31])
        *words |= THE_31ST;
    for (int i = 1; i < 8; i++)
        words[i] |= local->apic.irr[i];
    memset(&cpu->doorbell.words[VMGEXIT_ISR_WORD], 0, 8 * sizeof *words);
    for (uint32_t i = 0; i < local->apic.isr_count; i++)
        vmgexit_add(&cpu->doorbell.words[VMGEXIT_ISR_WORD], local->apic.isr_stack[i]);
    tpr = VMGEXIT_GET(guest->vintr, VMGEXIT_VINTR_CTRL_V_TPR) << 4;
    state = VMGEXIT_PUT(state, VMGEXIT_DISABLE_INJECTION_TPR, tpr);
    state = VMGEXIT_PUT(state, VMGEXIT_DISABLE_INJECTION_INTERRUPT_SHADOW, !!(guest->vintr & SHADOW));
    state = VMGEXIT_PUT(state, VMGEXIT_DISABLE_INJECTION_INTERRUPTS_ENABLED, guest->interrupts_enabled);
    cpu->calling.no_eoi_required = 0;
    guest->alternate_injection = false;
    memset(local, 0, sizeof *local);
    if (!vmgexit_request(cpu, VMGEXIT_REQUEST_DISABLE_ALTERNATE_INJECTION, state))
        vmgexit_terminate("the host refused to disable Alternate Injection");
}

static uint32_t configure(struct vmgexit_vcpu *cpu, struct local *local, uint64_t request)
{
    if (request > 2)
        return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;
    if (request == 2) {
        if ((!registrations && !svsm_bugs[REGISTER]) || registrations == UINT32_MAX)
            return VMGEXIT_RESULT_CODE_CANNOT_REGISTER;
        registrations++;
        return VMGEXIT_RESULT_CODE_SUCCESS;
    }
    if (request == 1 && registrations)
        registrations--;
    if (!registrations)
        disable(cpu, local);
    return VMGEXIT_RESULT_CODE_SUCCESS;
}

static uint32_t configure_vector(struct local *local, uint64_t wanted)
{
    const bool enable = wanted & VMGEXIT_APIC_CONFIGURE_VECTOR_ENABLE_MASK;
    const bool all = wanted & VMGEXIT_APIC_CONFIGURE_VECTOR_ALL_VECTORS_MASK;
    const unsigned first = all ? 31 * enable : wanted & 0xff, last = all ? 255 : first;

    if (wanted & VMGEXIT_APIC_CONFIGURE_VECTOR_MUST_BE_ZERO || (enable && first < 31))
        return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;
    for (unsigned vector = first; vector <= last; vector++) {
        if (enable)
            vmgexit_add(local->apic.allowed, vector);
        else
            vmgexit_drop(local->apic.allowed, vector);
    }
    return VMGEXIT_RESULT_CODE_SUCCESS;
}

/* Whether a number is an x2APIC register's that the protocol knows, and may only be read, or only written. */
static bool is_register(uint64_t number, bool *only_read, bool *only_written)
{
    const bool is_set = number >= VMGEXIT_APIC_REGISTER_CODE_ISR0 && number <= VMGEXIT_APIC_REGISTER_CODE_IRR7;

    *only_written = number == VMGEXIT_APIC_REGISTER_CODE_EOI || number == VMGEXIT_APIC_REGISTER_CODE_SELF_IPI;
    *only_read = is_set || number == VMGEXIT_APIC_REGISTER_CODE_ID || number == VMGEXIT_APIC_REGISTER_CODE_PPR ||
                 number == VMGEXIT_APIC_REGISTER_CODE_LDR;
    return *only_read || *only_written || number == VMGEXIT_APIC_REGISTER_CODE_TPR ||
           number == VMGEXIT_APIC_REGISTER_CODE_ICR;
}

static uint64_t register_value(struct vmgexit_vcpu *cpu, struct local *local, uint64_t number)
{
    uint32_t in_service[8] = { 0 }, tmr[8];
    const unsigned word = number & 7, id = cpu->apic_id;

    memcpy(tmr, local->apic.tmr, sizeof tmr);
    for (uint32_t i = 0; i < local->apic.isr_count; i++) {
        vmgexit_add(in_service, local->apic.isr_stack[i]);
        if (local->level[i])
            vmgexit_add(tmr, local->apic.isr_stack[i]);
    }
    switch (number) {
    case VMGEXIT_APIC_REGISTER_CODE_ID:
        return id;
    case VMGEXIT_APIC_REGISTER_CODE_TPR:
        return task_priority(cpu, local);
    case VMGEXIT_APIC_REGISTER_CODE_PPR:
        return processor_priority(cpu, local);
    case VMGEXIT_APIC_REGISTER_CODE_LDR:
        return (id & ~15u) << 12 | UINT32_C(1) << ((id + svsm_bugs[LDR]) & 15);
    case VMGEXIT_APIC_REGISTER_CODE_ICR:
        return local->apic.icr;
    }
    if (number < VMGEXIT_APIC_REGISTER_CODE_TMR0)
        return in_service[word];
    return number < VMGEXIT_APIC_REGISTER_CODE_IRR0 ? tmr[word] : local->apic.irr[word];
}

/* An IPI arrives: at once on the sender, by mailbox on another, in the descriptor where the host has it. */
static void deliver(struct vmgexit_vcpu *sender, struct vmgexit_vcpu *to, unsigned vector, bool is_nmi)
{
    struct local *local = &locals[to->index];
    uint32_t *words = &to->doorbell.words[VMGEXIT_STATUS_WORD];

    if (to == sender && is_nmi) {
        local->apic.nmi_pending = local->apic.update_required = true;
    } else if (to == sender) {
        accept(local, vector);
    } else if (!to->guest.alternate_injection) {
        if (is_nmi)
            *words |= NMI;
        else if (vector >= 31)
            vmgexit_set_irr(to, vector), *words |= SEVERAL;
    } else {
        local->apic.ipi_pending = true;
        if (is_nmi)
            local->apic.ipi_nmi = true;
        else
            vmgexit_add(local->apic.ipi_irr, vector);
    }
}

static uint32_t write_icr(struct vmgexit_vcpu *cpu, struct local *local, uint64_t icr)
{
    const uint64_t refused = VMGEXIT_APIC_ICR_MUST_BE_ZERO | VMGEXIT_APIC_ICR_DELIVERY_STATUS_MASK |
                             VMGEXIT_APIC_ICR_REMOTE_READ_STATUS_MASK;
    const uint64_t type = VMGEXIT_GET(icr, VMGEXIT_APIC_ICR_MESSAGE_TYPE);
    const uint64_t shorthand = VMGEXIT_GET(icr, VMGEXIT_APIC_ICR_SHORTHAND);
    const bool logical = icr & VMGEXIT_APIC_ICR_LOGICAL_MASK, is_nmi = type == VMGEXIT_MESSAGE_TYPE_CODE_NMI;
    const uint32_t to = (uint32_t)(icr >> 32);
    const bool everyone = shorthand >= 2 || (!shorthand && to == UINT32_MAX);
    bool asks = everyone;

    if (icr & refused || (!is_nmi && (type != VMGEXIT_MESSAGE_TYPE_CODE_FIXED || (icr & 0xff) < 16)))
        return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;
    local->apic.icr = icr;
    for (uint32_t i = 0; i < cpu->vm->cpus; i++) {
        struct vmgexit_vcpu *other = &cpu->vm->vcpus[i];
        const uint32_t id = other->apic_id;
        bool is_meant = logical ? to >> 16 == id >> 4 && to >> (id & 15) & 1 : to == id;
        if (everyone || shorthand == VMGEXIT_SHORTHAND_CODE_SELF)
            is_meant = other == cpu ? shorthand != VMGEXIT_SHORTHAND_CODE_ALL_BUT_SELF : everyone;
        if (is_meant)
            deliver(cpu, other, icr & 0xff, is_nmi);
        asks |= is_meant && other != cpu;
    }
    if (asks) {
        uint64_t notice = (uint64_t)to << 32 | (icr & VMGEXIT_APIC_ICR_LOGICAL_MASK) | 0x50;
        notice = VMGEXIT_PUT(notice, VMGEXIT_APIC_ICR_SHORTHAND, shorthand == 2 ? 3 : shorthand);
        if (!vmgexit_request(cpu, VMGEXIT_REQUEST_HV_IPI, notice) && svsm_bugs[REFUSED])
            vmgexit_panic("the host refused an IPI");
    }
    return VMGEXIT_RESULT_CODE_SUCCESS;
}

static uint32_t write_register(struct vmgexit_vcpu *cpu, struct local *local, uint64_t number, uint64_t value)
{
    if (number == VMGEXIT_APIC_REGISTER_CODE_ICR)
        return write_icr(cpu, local, value);
    if (number == VMGEXIT_APIC_REGISTER_CODE_TPR && value <= 0xff) {
        cpu->guest.vintr = VMGEXIT_PUT(cpu->guest.vintr, VMGEXIT_VINTR_CTRL_V_TPR, value >> 4);
        local->tpr_class = value >> 4;
        local->tpr_low = value & 15;
    } else if (number == VMGEXIT_APIC_REGISTER_CODE_EOI && !value) {
        end_of_interrupt(cpu, local);
    } else if (number == VMGEXIT_APIC_REGISTER_CODE_SELF_IPI && value >= 16 && value <= 0xff) {
        accept(local, (unsigned)value);
    } else {
        return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;
    }
    return VMGEXIT_RESULT_CODE_SUCCESS;
}

static uint32_t apic_call(struct vmgexit_vcpu *cpu, struct local *local, struct vmgexit_registers *registers)
{
    const bool writes = registers->request == VMGEXIT_APIC_CALL_CODE_WRITE_REGISTER;
    bool only_read, only_written;

    switch (registers->request) {
    case VMGEXIT_APIC_CALL_CODE_QUERY_FEATURES:
        registers->rcx = 0;
        return VMGEXIT_RESULT_CODE_SUCCESS;
    case VMGEXIT_APIC_CALL_CODE_CONFIGURE_EMULATION:
        return configure(cpu, local, registers->rcx);
    case VMGEXIT_APIC_CALL_CODE_CONFIGURE_VECTOR:
        return configure_vector(local, registers->rcx);
    case VMGEXIT_APIC_CALL_CODE_READ_REGISTER:
    case VMGEXIT_APIC_CALL_CODE_WRITE_REGISTER:
        rewind_all(cpu, local);
        if (!is_register(registers->rcx, &only_read, &only_written))
            return VMGEXIT_RESULT_CODE_INVALID_ADDRESS;
        if (writes ? only_read : only_written)
            return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;
        if (writes)
            return write_register(cpu, local, registers->rcx, registers->rdx);
        registers->rdx = register_value(cpu, local, registers->rcx);
        return VMGEXIT_RESULT_CODE_SUCCESS;
    }
    return VMGEXIT_RESULT_CODE_UNSUPPORTED_CALL;
}

/* QUERY_PROTOCOL: the highest and the lowest version, or 0. */
static uint64_t versions(struct vmgexit_vcpu *cpu, uint64_t query)
{
    const uint64_t protocol = VMGEXIT_GET(query, VMGEXIT_SVSM_PROTOCOL_QUERY_PROTOCOL);
    const bool has = protocol <= VMGEXIT_PROTOCOL_CODE_ATTESTATION ||
                     (protocol == VMGEXIT_PROTOCOL_CODE_APIC && cpu->guest.alternate_injection);

    return has && (uint32_t)query == 1 ? UINT64_C(1) << 32 | 1 : 0;
}

/* REMAP_CA: what is presented is taken back, and a lazy EOI that is offered is no longer. */
static uint32_t remap(struct vmgexit_vcpu *cpu, struct local *local, uint64_t address)
{
    const bool is_offered = local->apic.lazy_eoi_pending;

    if (address % 4096)
        return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;
    if (vmgexit_is_calling_area(cpu->vm, address))
        return VMGEXIT_RESULT_CODE_INVALID_ADDRESS;
    rewind_all(cpu, local);
    if (is_offered) {
        local->apic.lazy_eoi_pending = false;
        cpu->calling.no_eoi_required = 0;
    }
    vmgexit_move_calling_area(cpu, address);
    return VMGEXIT_RESULT_CODE_SUCCESS;
}

/* --- what the adapter calls --------------------------------------------------------------------- */

void svsm_init(struct vmgexit_vm *vm)
{
    memset(locals, 0, vm->cpus * sizeof *locals);
    registrations = vm->reg_count;
}

/* Calls on memory and attestation are not its business. */
bool svsm_knows(uint32_t protocol, uint32_t request)
{
    if (protocol == VMGEXIT_PROTOCOL_CODE_CORE)
        return request == VMGEXIT_CORE_CALL_CODE_REMAP_CA || request == VMGEXIT_CORE_CALL_CODE_QUERY_PROTOCOL;
    return protocol != VMGEXIT_PROTOCOL_CODE_ATTESTATION;
}

void svsm_call(struct vmgexit_vcpu *cpu, struct vmgexit_registers *registers)
{
    handle_hv(cpu);
    if (registers->protocol == VMGEXIT_PROTOCOL_CODE_CORE && registers->request)
        registers->rcx = versions(cpu, registers->rcx);
    else if (registers->protocol == VMGEXIT_PROTOCOL_CODE_CORE)
        registers->rax = remap(cpu, &locals[cpu->index], registers->rcx);
    else if (registers->protocol == VMGEXIT_PROTOCOL_CODE_APIC && cpu->guest.alternate_injection)
        registers->rax = apic_call(cpu, &locals[cpu->index], registers);
    else
        registers->rax = VMGEXIT_RESULT_CODE_UNSUPPORTED_PROTOCOL;
}

void svsm_enter(struct vmgexit_vcpu *cpu)
{
    struct local *local = &locals[cpu->index];

    for (;;) {
        bool has_event = cpu->doorbell.head.per_vmpl_events & VMGEXIT_VMPL_EVENTS_VMPL2_MASK;

        handle_hv(cpu);
        cpu->doorbell.head.per_vmpl_events = 0;
        if (cpu->guest.alternate_injection) {
            if (has_event)
                take_from_host(cpu, local);
            take_mailbox(local);
            present(cpu, local);
        }
        if (!vmgexit_window(cpu) || svsm_bugs[WINDOW])
            return;
        reinject(cpu);
    }
}

void svsm_left(struct vmgexit_vcpu *cpu)
{
    handle_hv(cpu);
    reinject(cpu);
}

/* A new VMSA is not to have events, and gets a fresh local APIC. */
void svsm_new_vmsa(struct vmgexit_vcpu *cpu)
{
    struct local old = locals[cpu->index];

    cpu->guest.event_inj = 0;
    cpu->guest.vintr &= ~V_IRQ;
    memset(&locals[cpu->index], 0, sizeof old);
    for (uint32_t i = 0; i < old.apic.isr_count; i++) {
        if (old.level[i])
            vmgexit_request(cpu, VMGEXIT_REQUEST_SPECIFIC_EOI, VMGEXIT_GUEST_VMPL << 16 | old.apic.isr_stack[i]);
    }
    for (unsigned vector = 0; vector < 256; vector++) {
        if (vmgexit_has(old.apic.host_tmr, vector))
            vmgexit_request(cpu, VMGEXIT_REQUEST_SPECIFIC_EOI, VMGEXIT_GUEST_VMPL << 16 | vector);
    }
}

/* As `state` shows it: level-triggered are pending ones, and those in service. */
const struct vmgexit_apic *svsm_apic(struct vmgexit_vcpu *cpu)
{
    static struct vmgexit_apic shown;
    const struct local *local = &locals[cpu->index];

    shown = local->apic;
    for (uint32_t i = 0; i < shown.isr_count; i++) {
        if (local->level[i]) {
            vmgexit_add(shown.tmr, shown.isr_stack[i]);
            vmgexit_add(shown.host_tmr, shown.isr_stack[i]);
        }
    }
    return &shown;
}

uint64_t svsm_reg_count(struct vmgexit_vm *vm)
{
    (void)vm;
    return registrations;
}
