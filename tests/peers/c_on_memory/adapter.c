/*
 * An SVSM with memory that emulates local APICs: the calls that a new project has, and in the place of its
 * svsm.c the SVSM of tests/peers/c, which stands in its/.
 */
#define main main_without_memory
#include "its/adapter.c"
#undef main
#include "calls.h"
#include "its/calls.c"
#include "its/interrupts.c"
#include "vmgexit_memory_adapter.h"

void svsm_init(struct vmgexit_vm *vm)
{
    adapter_init(vm);
}

bool svsm_knows(uint32_t protocol, uint32_t request)
{
    return adapter_knows(protocol, request);
}

void svsm_call(struct vmgexit_vcpu *cpu, struct vmgexit_registers *registers)
{
    adapter_call(cpu, registers);
}

/* Before the guest goes on with another calling area: what was presented is pending again. */
void svsm_leave_area(struct vmgexit_vcpu *cpu)
{
    struct cpu *own = entered(cpu);
    const bool is_offered = own->apic.lazy_eoi_pending;

    if (!own->vmsa.alternate_injection)
        return;
    rewind_all(own);
    if (is_offered)
        *own->no_eoi_required = own->apic.lazy_eoi_pending = 0;
    left(cpu, own);
}

static const struct vmgexit_svsm_on_memory on_memory = {
    .has_apic = true,
    .init = calls_init,
    .knows = calls_knows,
    .call = calls_serve,
    .registry = calls_registry,
};

int main(void)
{
    static struct vmgexit_svsm svsm;

    svsm = adapter;
    return vmgexit_answer_on_memory(&svsm, &on_memory);
}
