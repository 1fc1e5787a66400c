/* Interrupts on their way: taken from the host and from other vCPUs, presented to the guest, ended. */
#include "internal.h"

bool svsm_bugs[SVSM_BUGS];
struct cpu svsm_cpus[255];
unsigned svsm_cpu_count;
uint64_t svsm_registrations;

static unsigned newest(const struct local_apic *apic)
{
    return apic->in_service ? apic->isr[apic->in_service - 1] : 0;
}

static void acknowledge(struct cpu *cpu, unsigned vector)
{
    platform_vmgexit(cpu, SPECIFIC_EOI, GUEST_VMPL << 16 | vector);
}

void accept(struct local_apic *apic, unsigned vector, bool level)
{
    add(apic->irr, vector);
    if (level) {
        add(apic->tmr, vector);
        add(apic->host_tmr, vector);
    }
    apic->update_required = true;
}

void end_of_interrupt(struct cpu *cpu)
{
    struct local_apic *apic = &cpu->apic;
    unsigned at = svsm_bugs[OLDEST] ? 0 : apic->in_service - 1;

    if (!apic->in_service)
        return;
    if (apic->is_level[at])
        acknowledge(cpu, apic->isr[at]);
    for (apic->in_service--; at < apic->in_service; at++) {
        apic->isr[at] = apic->isr[at + 1];
        apic->is_level[at] = apic->is_level[at + 1];
    }
    apic->update_required = true;
    apic->lazy_eoi_pending = false;
}

/* What was presented, and the guest has not taken, is pending again. */
static bool take_back(struct local_apic *apic, unsigned vector)
{
    if (!apic->in_service || newest(apic) != vector)
        return false;
    apic->in_service--;
    accept(apic, vector, apic->is_level[apic->in_service]);
    apic->lazy_eoi_pending = false;
    return true;
}

void rewind_all(struct cpu *cpu)
{
    struct local_apic *apic = &cpu->apic;
    struct vmsa *vmsa = &cpu->vmsa;

    if (apic->interrupt_delivered && IS_EXTERNAL(vmsa->event_inj) && take_back(apic, vmsa->event_inj & 0xff))
        vmsa->event_inj = 0;
    if (apic->interrupt_queued && vmsa->vintr_ctrl & V_IRQ && take_back(apic, vmsa->vintr_ctrl >> 32 & 0xff))
        vmsa->vintr_ctrl &= ~V_IRQ;
    apic->interrupt_delivered = apic->interrupt_queued = false;
    if (apic->lazy_eoi_pending && !*cpu->no_eoi_required)
        end_of_interrupt(cpu);
}

/* The class is what the guest's CR8 says; the low bits are those last written, if they go with it. */
uint64_t task_priority(const struct cpu *cpu)
{
    uint64_t class = cpu->vmsa.vintr_ctrl & 0xff;

    return (class << 4 & 0xff) | (class == cpu->apic.tpr >> 4 ? cpu->apic.tpr & 15 : 0);
}

uint64_t processor_priority(const struct cpu *cpu)
{
    uint64_t tpr = task_priority(cpu), vector = newest(&cpu->apic);

    if (vector >> 4 <= tpr >> 4)
        return tpr;
    return svsm_bugs[PPR] ? vector : vector & 0xf0;
}

void handle_hv(struct cpu *cpu)
{
    uint32_t own = *cpu->doorbell;

    if (!(own & NO_FURTHER_SIGNAL))
        return;
    *cpu->doorbell = own & ~(NO_FURTHER_SIGNAL | OWN_NMI | 0xff);
    if (own & OWN_MC)
        platform_terminate("the host signalled a machine check");
}

static void take_edge(struct local_apic *apic, unsigned vector)
{
    if (vector && has(apic->allowed, vector))
        accept(apic, vector, false);
}

static void take_from_host(struct cpu *cpu)
{
    const uint32_t status = STATUS;
    struct local_apic *apic = &cpu->apic;
    unsigned vector = status & 0xff;

    STATUS &= ~(NMI | LEVEL | SEVERAL | 0xff);
    if (status & NMI)
        apic->nmi_pending = apic->update_required = true;
    if (!(status & LEVEL))
        take_edge(apic, vector);
    else if (vector && has(apic->allowed, vector))
        accept(apic, vector, true);
    else if (vector && !svsm_bugs[LEVEL_EOI])
        acknowledge(cpu, vector);
    if (!(status & SEVERAL))
        return;
    if (status & THE_31ST)
        take_edge(apic, 31);
    STATUS &= ~THE_31ST;
    for (vector = 32; vector < (svsm_bugs[LAST_WORD] ? 224 : 256); vector++) {
        if (drop(IRR, vector))
            take_edge(apic, vector);
    }
}

void take_mail(struct local_apic *apic)
{
    if (!apic->has_mail)
        return;
    for (int i = 0; i < 8; i++)
        apic->irr[i] |= apic->sent[i];
    memset(apic->sent, 0, sizeof apic->sent);
    apic->nmi_pending |= apic->nmi_sent;
    apic->has_mail = apic->nmi_sent = false;
    apic->update_required = true;
}

static void present(struct cpu *cpu)
{
    struct local_apic *apic = &cpu->apic;
    struct vmsa *vmsa = &cpu->vmsa;
    bool was_free, was_idle, at_once, level;
    unsigned vector;

    if (!apic->update_required)
        return;
    rewind_all(cpu);
    was_free = !(vmsa->event_inj & VALID);
    if (apic->nmi_pending && was_free)
        vmsa->event_inj = NMI_EVENT;
    apic->update_required = apic->nmi_pending &= !was_free;
    *cpu->no_eoi_required = apic->lazy_eoi_pending = 0;
    vector = top(apic->irr);
    if (vector >> 4 <= newest(apic) >> 4)
        return;
    was_idle = !apic->in_service;
    at_once = vmsa->interrupts_enabled && !(vmsa->vintr_ctrl & SHADOW) && !(vmsa->event_inj & VALID) &&
              vector >> 4 > processor_priority(cpu) >> 4;
    if (at_once) {
        vmsa->event_inj = VALID | vector;
        apic->interrupt_delivered = true;
    } else {
        vmsa->vintr_ctrl &= ~V_INTR;
        vmsa->vintr_ctrl |= (uint64_t)vector << 32 | vector >> 4 << 16 | V_IRQ;
        apic->interrupt_queued = true;
    }
    drop(apic->irr, vector);
    drop(apic->host_tmr, vector);
    level = apic->is_level[apic->in_service] = drop(apic->tmr, vector);
    apic->isr[apic->in_service++] = (uint8_t)vector;
    if ((at_once || was_idle) && (svsm_bugs[LAZY] || !level) && !top(apic->irr))
        *cpu->no_eoi_required = apic->lazy_eoi_pending = 1;
}

/* An event whose delivery was cut short is delivered again. */
static void reinject(struct cpu *cpu)
{
    struct vmsa *vmsa = &cpu->vmsa;

    vmsa->vintr_ctrl &= ~BUSY;
    if (!vmsa->alternate_injection || !(vmsa->exit_int_info & VALID))
        return;
    vmsa->event_inj = vmsa->exit_int_info;
    vmsa->exit_int_info = 0;
    if (cpu->apic.in_service && IS_EXTERNAL(vmsa->event_inj) && newest(&cpu->apic) == (vmsa->event_inj & 0xff))
        cpu->apic.interrupt_delivered = true;
}

void svsm_enter_guest(struct cpu *cpu)
{
    for (;;) {
        const bool has_event = *cpu->doorbell & GUEST_EVENT;

        handle_hv(cpu);
        *cpu->doorbell &= ~EVENTS;
        if (cpu->vmsa.alternate_injection) {
            if (has_event)
                take_from_host(cpu);
            take_mail(&cpu->apic);
            present(cpu);
        }
        if (platform_vmrun(cpu) || svsm_bugs[WINDOW])
            return;
        reinject(cpu);
    }
}

void svsm_guest_left(struct cpu *cpu)
{
    handle_hv(cpu);
    reinject(cpu);
}

/* A new VMSA is not to have events, and gets a fresh local APIC. */
void svsm_new_vcpu(struct cpu *cpu)
{
    const struct local_apic old = cpu->apic;

    cpu->vmsa.event_inj = 0;
    cpu->vmsa.vintr_ctrl &= ~V_IRQ;
    memset(&cpu->apic, 0, sizeof cpu->apic);
    for (unsigned i = 0; i < old.in_service; i++) {
        if (old.is_level[i])
            acknowledge(cpu, old.isr[i]);
    }
    for (unsigned vector = 0; vector < 256; vector++) {
        if (has(old.host_tmr, vector))
            acknowledge(cpu, vector);
    }
}
