/* The SVSM that the adapter calls. This one is small and is meant to be replaced. */
#ifndef SVSM_H
#define SVSM_H

#include "vmgexit_vm.h"

void svsm_init(struct vmgexit_vm *vm);
bool svsm_knows(uint32_t protocol, uint32_t request);
void svsm_call(struct vmgexit_vcpu *cpu, struct vmgexit_registers *registers);
void svsm_enter(struct vmgexit_vcpu *cpu);
void svsm_left(struct vmgexit_vcpu *cpu);
void svsm_new_vmsa(struct vmgexit_vcpu *cpu);
uint64_t svsm_reg_count(struct vmgexit_vm *vm);

#endif /* SVSM_H */
