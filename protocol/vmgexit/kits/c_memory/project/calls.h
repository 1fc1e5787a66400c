/* The calls of an SVSM with memory. This one is small and is meant to be replaced. */
#ifndef CALLS_H
#define CALLS_H

#include "vmgexit_psp.h"
#include "vmgexit_tpm.h"

void calls_init(struct vmgexit_vm *vm);
bool calls_knows(uint32_t protocol, uint32_t request);
void calls_serve(struct vmgexit_vcpu *cpu, struct vmgexit_registers *registers);
size_t calls_registry(struct vmgexit_registration *rows, size_t most);

/* Within the SVSM: whether a guest may name these bytes; they are its memory, and not in use. */
bool calls_is_free(uint64_t start, uint64_t length);
void attestation_init(void);
uint32_t attestation_call(struct vmgexit_registers *registers);

#endif /* CALLS_H */
