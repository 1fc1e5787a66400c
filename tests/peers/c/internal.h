/* What calls.c and interrupts.c share: bits of the pages, sets of vectors. */
#ifndef INTERNAL_H
#define INTERNAL_H

#include "svsm.h"
#include <string.h>

#define GUEST_VMPL 2

/* EVENTINJ, EXITINTINFO and VINTR_CTRL of a VMSA. */
#define VALID UINT64_C(0x80000000)
#define NMI_EVENT (VALID | 0x200)
#define IS_EXTERNAL(event) (((event) & (VALID | 0x700)) == VALID)
#define V_IRQ UINT64_C(0x100)
#define SHADOW UINT64_C(0x400)
#define V_INTR (UINT64_C(0xff) << 32 | UINT64_C(0x1f) << 16) /* its vector, priority, and whether it ignores the TPR */
#define BUSY (UINT64_C(1) << 63)

/* The doorbell page: the SVSM's own word, and the descriptor of the guest VMPL. */
#define STATUS (cpu->doorbell[32])
#define IRR (cpu->doorbell + 32)
#define ISR (cpu->doorbell + 40)
#define NO_FURTHER_SIGNAL UINT32_C(0x8000)
#define OWN_MC UINT32_C(0x200)
#define OWN_NMI UINT32_C(0x100)
#define GUEST_EVENT UINT32_C(0x2000000)
#define EVENTS UINT32_C(0xff000000)
#define NMI UINT32_C(0x100)
#define LEVEL UINT32_C(0x400)
#define SEVERAL UINT32_C(0x4000)
#define THE_31ST UINT32_C(0x80000000)

static inline bool has(const uint32_t *set, unsigned vector)
{
    return set[vector / 32] >> vector % 32 & 1;
}

static inline void add(uint32_t *set, unsigned vector)
{
    set[vector / 32] |= UINT32_C(1) << vector % 32;
}

static inline bool drop(uint32_t *set, unsigned vector)
{
    bool was_in = has(set, vector);

    set[vector / 32] &= ~(UINT32_C(1) << vector % 32);
    return was_in;
}

static inline unsigned top(const uint32_t *set)
{
    unsigned vector = 255;

    while (vector && !has(set, vector))
        vector--;
    return vector;
}

/* --- interrupts.c -------------------------------------------------------------------------------- */

void handle_hv(struct cpu *cpu);
/* A vector is pending from here on. */
void accept(struct local_apic *apic, unsigned vector, bool level);
void take_mail(struct local_apic *apic);
/* What was presented, and the guest has not taken, is pending again; a lazy EOI that it made is carried out. */
void rewind_all(struct cpu *cpu);
void end_of_interrupt(struct cpu *cpu);
uint64_t task_priority(const struct cpu *cpu);
uint64_t processor_priority(const struct cpu *cpu);

#endif /* INTERNAL_H */
