/* An APIC SVSM of its own, written by hand for a project of `vmgexit peer new --lang c`, with bugs to find. */
#ifndef SVSM_H
#define SVSM_H

#include "vmgexit_vm.h"

enum svsm_bug {
    PPR,       /* PPR keeps the low bits of the vector in service */
    VECTOR_31, /* the host does not get vector 31 when it takes over */
    LEVEL_EOI, /* a level-triggered interrupt that is not allowed is never acknowledged */
    REGISTER,  /* a vCPU registers while the count is 0 */
    LAZY,      /* a lazy EOI is offered for a level-triggered interrupt */
    OLDEST,    /* an EOI ends the oldest interrupt in service */
    LAST_WORD, /* vectors from 224 on are not taken from the descriptor */
    LDR,       /* LDR has the bit of the next APIC id */
    WINDOW,    /* a #HV in the switch window does not cancel the switch */
    REFUSED,   /* a host that refuses an IPI stops the SVSM */
    SVSM_BUGS,
};

extern bool svsm_bugs[SVSM_BUGS];

void svsm_init(struct vmgexit_vm *vm);
bool svsm_knows(uint32_t protocol, uint32_t request);
void svsm_call(struct vmgexit_vcpu *cpu, struct vmgexit_registers *registers);
void svsm_enter(struct vmgexit_vcpu *cpu);
void svsm_left(struct vmgexit_vcpu *cpu);
void svsm_new_vmsa(struct vmgexit_vcpu *cpu);
const struct vmgexit_apic *svsm_apic(struct vmgexit_vcpu *cpu);
uint64_t svsm_reg_count(struct vmgexit_vm *vm);

#endif /* SVSM_H */
