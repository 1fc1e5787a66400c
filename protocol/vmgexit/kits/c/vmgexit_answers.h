/* The VM, the line that is read, and what answers tell. vmgexit_adapter.h includes this one. */
#ifndef VMGEXIT_ANSWERS_H
#define VMGEXIT_ANSWERS_H

#include "vmgexit_binary.h"
#include "vmgexit_stops.h"
#include "vmgexit_vm.h"

static struct vmgexit_vm vmgexit_vm;
static struct vmgexit_reader vmgexit_reader;

_Noreturn void vmgexit_terminate(const char *text)
{
    vmgexit_stop_by("terminated", text);
}

static inline void vmgexit_put_set(const char *key, const uint32_t set[8])
{
    vmgexit_key(&vmgexit_answer, key);
    vmgexit_open(&vmgexit_answer, '[');
    for (int i = 0; i < 8; i++)
        vmgexit_put_number(&vmgexit_answer, set[i]);
    vmgexit_close(&vmgexit_answer, ']');
}

/* What VMRUN sees. */
static inline void vmgexit_put_vmrun(const struct vmgexit_vcpu *cpu)
{
    struct vmgexit_answer *answer = &vmgexit_answer;
    const uint64_t event = cpu->guest.event_inj, vintr = cpu->guest.vintr;
    const bool is_valid = event & VMGEXIT_EVENT_INJ_VALID_MASK;
    const uint64_t type = VMGEXIT_GET(event, VMGEXIT_EVENT_INJ_TYPE);

    vmgexit_number(answer, "event_inj", event);
    vmgexit_flag(answer, "event_valid", is_valid);
    vmgexit_number(answer, "event_type", type);
    vmgexit_number(answer, "event_vector", VMGEXIT_GET(event, VMGEXIT_EVENT_INJ_VECTOR));
    vmgexit_flag(answer, "nmi", is_valid && type == VMGEXIT_EVENT_TYPE_CODE_NMI);
    vmgexit_flag(answer, "v_irq", vintr & VMGEXIT_VINTR_CTRL_V_IRQ_MASK);
    vmgexit_number(answer, "v_intr_vector", VMGEXIT_GET(vintr, VMGEXIT_VINTR_CTRL_V_INTR_VECTOR));
    vmgexit_number(answer, "v_intr_prio", VMGEXIT_GET(vintr, VMGEXIT_VINTR_CTRL_V_INTR_PRIO));
    vmgexit_flag(answer, "v_ign_tpr", vintr & VMGEXIT_VINTR_CTRL_V_IGN_TPR_MASK);
    vmgexit_number(answer, "v_tpr", VMGEXIT_GET(vintr, VMGEXIT_VINTR_CTRL_V_TPR));
    vmgexit_number(answer, "no_eoi_required", cpu->calling.no_eoi_required);
}

static inline void vmgexit_put_flags(const struct vmgexit_apic *apic)
{
    struct vmgexit_answer *answer = &vmgexit_answer;

    vmgexit_key(answer, "flags");
    vmgexit_open(answer, '{');
    vmgexit_flag(answer, "update_required", apic->update_required);
    vmgexit_flag(answer, "interrupt_delivered", apic->interrupt_delivered);
    vmgexit_flag(answer, "interrupt_queued", apic->interrupt_queued);
    vmgexit_flag(answer, "lazy_eoi_pending", apic->lazy_eoi_pending);
    vmgexit_flag(answer, "nmi_pending", apic->nmi_pending);
    vmgexit_close(answer, '}');
}

static inline void vmgexit_put_apic(const struct vmgexit_apic *apic)
{
    struct vmgexit_answer *answer = &vmgexit_answer;

    vmgexit_key(answer, "apic");
    vmgexit_open(answer, '{');
    vmgexit_number(answer, "icr", apic->icr);
    vmgexit_put_set("irr", apic->irr);
    vmgexit_put_set("allowed", apic->allowed);
    vmgexit_key(answer, "isr_stack");
    vmgexit_open(answer, '[');
    for (uint32_t i = 0; i < apic->isr_count && i < sizeof apic->isr_stack; i++)
        vmgexit_put_number(answer, apic->isr_stack[i]);
    vmgexit_close(answer, ']');
    vmgexit_put_set("tmr", apic->tmr);
    vmgexit_put_set("host_tmr", apic->host_tmr);
    vmgexit_close(answer, '}');
    vmgexit_put_flags(apic);
    vmgexit_put_set("ipi_irr", apic->ipi_irr);
    vmgexit_flag(answer, "ipi_pending", apic->ipi_pending);
    vmgexit_flag(answer, "ipi_nmi", apic->ipi_nmi);
}

/* The GHCB requests from `first` on. */
static inline void vmgexit_put_requests(const char *key, const struct vmgexit_vm *vm, uint32_t first)
{
    struct vmgexit_answer *answer = &vmgexit_answer;

    vmgexit_key(answer, key);
    vmgexit_open(answer, '[');
    for (uint32_t i = first; i < vm->request_count; i++) {
        const struct vmgexit_host_request *made = &vm->requests[i];
        vmgexit_open(answer, '{');
        vmgexit_number(answer, "cpu", made->cpu);
        vmgexit_text(answer, "call", vmgexit_request_names[made->request]);
        vmgexit_number(answer, "info1", made->info1);
        vmgexit_number(answer, "info2", 0);
        vmgexit_close(answer, '}');
    }
    vmgexit_close(answer, ']');
}

#endif /* VMGEXIT_ANSWERS_H */
