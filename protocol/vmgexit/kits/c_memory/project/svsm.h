/* The SVSM that the adapter calls. This one is small and is meant to be replaced. */
#ifndef SVSM_H
#define SVSM_H

#include "vmgexit_psp.h"
#include "vmgexit_tpm.h"

void svsm_init(struct vmgexit_vm *vm);
void svsm_call(struct vmgexit_vcpu *cpu, struct vmgexit_registers *registers);
size_t svsm_registry(struct vmgexit_registration *rows, size_t most);

/* Within the SVSM: whether a guest may name these bytes; they are its memory, and not in use. */
bool svsm_is_free(uint64_t start, uint64_t length);
void attestation_init(void);
uint32_t attestation_call(struct vmgexit_registers *registers);

#endif /* SVSM_H */
