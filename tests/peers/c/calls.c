/* The calls of a guest: of the core protocol, and of the APIC protocol. */
#include "internal.h"

enum protocol { CORE = 0, APIC = 3 };
enum result {
    SUCCESS = 0,
    UNSUPPORTED_PROTOCOL = 0x1,
    UNSUPPORTED_CALL = 0x2,
    INVALID_ADDRESS = 0x3,
    INVALID_PARAMETER = 0x5,
    CANNOT_REGISTER = 0x1000, /* all but the first have bit 31, too */
};

/* The host has this vCPU's interrupts from here on. */
static void disable(struct cpu *cpu)
{
    struct local_apic *apic = &cpu->apic;
    struct vmsa *vmsa = &cpu->vmsa;
    uint64_t state = GUEST_VMPL << 16;

    rewind_all(cpu);
    take_mail(apic);
    if ((vmsa->event_inj & (VALID | 0x700)) == NMI_EVENT) {
        vmsa->event_inj = 0;
        apic->nmi_pending = true;
    }
    STATUS |= SEVERAL | (apic->nmi_pending ? NMI : 0);
    if (!(STATUS & LEVEL) && (STATUS & 0xff) >= 31)
        add(apic->irr, STATUS & 0xff);
    if (has(apic->irr, 31) && !svsm_bugs[VECTOR_31])
        STATUS |= THE_31ST;
    for (int i = 1; i < 8; i++)
        IRR[i] |= apic->irr[i];
    memset(ISR, 0, 8 * sizeof *ISR);
    for (unsigned i = 0; i < apic->in_service; i++)
        add(ISR, apic->isr[i]);
    state |= (vmsa->vintr_ctrl << 4 & 0xff) << 8 | !!(vmsa->vintr_ctrl & SHADOW) << 1 | vmsa->interrupts_enabled;
    *cpu->no_eoi_required = 0;
    vmsa->alternate_injection = false;
    memset(apic, 0, sizeof *apic);
    if (!platform_vmgexit(cpu, DISABLE_ALTERNATE_INJECTION, state))
        platform_terminate("the host refused to disable Alternate Injection");
}

static enum result configure(struct cpu *cpu, uint64_t request)
{
    if (request > 2)
        return INVALID_PARAMETER;
    if (request == 2) {
        if ((!svsm_registrations && !svsm_bugs[REGISTER]) || svsm_registrations == UINT32_MAX)
            return CANNOT_REGISTER;
        svsm_registrations++;
        return SUCCESS;
    }
    if (request == 1 && svsm_registrations)
        svsm_registrations--;
    if (!svsm_registrations)
        disable(cpu);
    return SUCCESS;
}

static enum result configure_vector(struct local_apic *apic, uint64_t wanted)
{
    const bool enable = wanted >> 8 & 1, all = wanted >> 9 & 1;
    const unsigned first = all ? 31 * enable : wanted & 0xff, last = all ? 255 : first;

    if (wanted >> 10 || (enable && first < 31))
        return INVALID_PARAMETER;
    for (unsigned vector = first; vector <= last; vector++) {
        drop(apic->allowed, vector);
        if (enable)
            add(apic->allowed, vector);
    }
    return SUCCESS;
}

static enum result read_register(struct cpu *cpu, uint64_t number, uint64_t *value)
{
    const struct local_apic *apic = &cpu->apic;
    const unsigned word = number & 7, id = cpu->apic_id;
    uint32_t in_service[8] = { 0 }, tmr[8];

    memcpy(tmr, apic->tmr, sizeof tmr);
    for (unsigned i = 0; i < apic->in_service; i++) {
        add(in_service, apic->isr[i]);
        if (apic->is_level[i])
            add(tmr, apic->isr[i]);
    }
    switch (number) {
    case 0x802: *value = id; break;
    case 0x808: *value = task_priority(cpu); break;
    case 0x80a: *value = processor_priority(cpu); break;
    case 0x80d: *value = (id & ~15u) << 12 | UINT32_C(1) << ((id + svsm_bugs[LDR]) & 15); break;
    case 0x830: *value = apic->icr; break;
    case 0x80b: case 0x83f: return INVALID_PARAMETER; /* EOI and SELF_IPI are only written */
    default:
        if (number < 0x810 || number > 0x827)
            return INVALID_ADDRESS;
        *value = number < 0x818 ? in_service[word] : number < 0x820 ? tmr[word] : apic->irr[word];
    }
    return SUCCESS;
}

/* An IPI arrives: at once on the sender, by mail on another, in the descriptor where the host has it. */
static void deliver(struct cpu *sender, struct cpu *cpu, unsigned vector, bool is_nmi)
{
    struct local_apic *apic = &cpu->apic;

    if (cpu == sender && is_nmi) {
        apic->nmi_pending = apic->update_required = true;
    } else if (cpu == sender) {
        accept(apic, vector, false);
    } else if (cpu->vmsa.alternate_injection) {
        apic->has_mail = true;
        apic->nmi_sent |= is_nmi;
        if (!is_nmi)
            add(apic->sent, vector);
    } else if (is_nmi) {
        STATUS |= NMI;
    } else if (vector >= 31) {
        add(IRR, vector); /* bit 31 of the status is that of vector 31 */
        STATUS |= SEVERAL;
    }
}

static enum result send(struct cpu *cpu, uint64_t icr)
{
    const unsigned vector = icr & 0xff, type = icr >> 8 & 7, shorthand = icr >> 18 & 3;
    const bool logical = icr >> 11 & 1, is_nmi = type == 4;
    const uint32_t to = (uint32_t)(icr >> 32);
    const bool everyone = shorthand >= 2 || (!shorthand && to == UINT32_MAX);
    bool asks = everyone;

    if (icr & 0xfff33000 || (!is_nmi && (type || vector < 16)))
        return INVALID_PARAMETER;
    cpu->apic.icr = icr;
    for (unsigned i = 0; i < svsm_cpu_count; i++) {
        struct cpu *other = &svsm_cpus[i];
        const uint32_t id = other->apic_id;
        bool is_meant = logical ? to >> 16 == id >> 4 && to >> (id & 15) & 1 : to == id;
        if (everyone || shorthand == 1)
            is_meant = other == cpu ? shorthand != 3 : everyone;
        if (is_meant)
            deliver(cpu, other, vector, is_nmi);
        asks |= is_meant && other != cpu;
    }
    if (asks) {
        uint64_t notice = (uint64_t)to << 32 | (shorthand == 2 ? 3 : shorthand) << 18 | logical << 11 | 0x50;
        if (!platform_vmgexit(cpu, HV_IPI, notice) && svsm_bugs[REFUSED])
            platform_panic("the host refused an IPI");
    }
    return SUCCESS;
}

static enum result write_register(struct cpu *cpu, uint64_t number, uint64_t value)
{
    uint64_t read;

    if (number == 0x830)
        return send(cpu, value);
    if (number == 0x808 && value <= 0xff) {
        cpu->vmsa.vintr_ctrl = (cpu->vmsa.vintr_ctrl & ~UINT64_C(0xff)) | value >> 4;
        cpu->apic.tpr = value;
    } else if (number == 0x80b && !value) {
        end_of_interrupt(cpu);
    } else if (number == 0x83f && value >= 16 && value <= 0xff) {
        accept(&cpu->apic, (unsigned)value, false);
    } else {
        return read_register(cpu, number, &read) == INVALID_ADDRESS ? INVALID_ADDRESS : INVALID_PARAMETER;
    }
    return SUCCESS;
}

static enum result apic_call(struct cpu *cpu, struct call *call)
{
    switch ((uint32_t)call->rax) {
    case 0:
        call->rcx = 0; /* no features */
        return SUCCESS;
    case 1:
        return configure(cpu, call->rcx);
    case 2:
        rewind_all(cpu);
        return read_register(cpu, call->rcx, &call->rdx);
    case 3:
        rewind_all(cpu);
        return write_register(cpu, call->rcx, call->rdx);
    case 4:
        return configure_vector(&cpu->apic, call->rcx);
    }
    return UNSUPPORTED_CALL;
}

/* The calling area moves: what is presented is taken back, and a lazy EOI that is offered is no longer. */
static enum result remap(struct cpu *cpu, uint64_t address)
{
    const bool is_offered = cpu->apic.lazy_eoi_pending;

    if (address % 4096)
        return INVALID_PARAMETER;
    for (unsigned i = 0; i < svsm_cpu_count; i++) {
        if (svsm_cpus[i].calling_area == address)
            return INVALID_ADDRESS;
    }
    rewind_all(cpu);
    if (is_offered)
        *cpu->no_eoi_required = cpu->apic.lazy_eoi_pending = 0;
    cpu->calling_area = address;
    return SUCCESS;
}

static enum result core_call(struct cpu *cpu, struct call *call)
{
    const uint64_t protocol = call->rcx >> 32;
    const bool has = protocol < 2 || (protocol == APIC && cpu->vmsa.alternate_injection);

    if ((uint32_t)call->rax == 0)
        return remap(cpu, call->rcx);
    if ((uint32_t)call->rax != 6)
        return UNSUPPORTED_CALL;
    call->rcx = has && (uint32_t)call->rcx == 1 ? UINT64_C(1) << 32 | 1 : 0; /* from version 1 to 1 */
    return SUCCESS;
}

void svsm_handle_call(struct cpu *cpu, struct call *call)
{
    enum result result = UNSUPPORTED_PROTOCOL;

    handle_hv(cpu);
    if (call->rax >> 32 == CORE)
        result = core_call(cpu, call);
    else if (call->rax >> 32 == APIC && cpu->vmsa.alternate_injection)
        result = apic_call(cpu, call);
    call->rax = result ? VALID | result : 0;
}
