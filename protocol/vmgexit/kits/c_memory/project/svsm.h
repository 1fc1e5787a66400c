/* The SVSM that the adapter calls. This one is small and is meant to be replaced. */
#ifndef SVSM_H
#define SVSM_H

#include "vmgexit_tpm.h"

void svsm_init(struct vmgexit_vm *vm);
bool svsm_knows(uint32_t protocol, uint32_t request);
void svsm_call(struct vmgexit_vcpu *cpu, struct vmgexit_registers *registers);
size_t svsm_registry(struct vmgexit_registration *rows, size_t most);

#endif /* SVSM_H */
