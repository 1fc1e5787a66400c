/*
 * A small SVSM: registration by count, an emulated local APIC for each vCPU, IPIs, and the switch to the guest.
 *
 * It is written by hand, knows nothing of vmgexit, and has ten bugs to switch on. Its platform gives it the pages
 * that it shares with host and guest, and the three ways down at the end.
 */
#ifndef SVSM_H
#define SVSM_H

#include <stdbool.h>
#include <stdint.h>

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

/* A local APIC; in sets of vectors, vector 0 is bit 0 of the first word. */
struct local_apic {
    uint64_t icr, tpr;
    uint32_t irr[8], allowed[8], tmr[8], host_tmr[8];
    uint8_t isr[16]; /* in service, the newest last */
    bool is_level[16];
    unsigned in_service;
    bool update_required, interrupt_delivered, interrupt_queued, lazy_eoi_pending, nmi_pending;
    uint32_t sent[8]; /* by other vCPUs */
    bool has_mail, nmi_sent;
};

struct vmsa {
    uint64_t vintr_ctrl, event_inj, exit_int_info;
    bool interrupts_enabled, alternate_injection;
};

struct cpu {
    uint32_t apic_id;
    uint32_t *doorbell;       /* the #HV doorbell page, shared with the host */
    uint8_t *no_eoi_required; /* in the calling area, shared with the guest */
    uint64_t calling_area;
    struct vmsa vmsa;
    struct local_apic apic;
};

/* RAX holds the protocol and the call, and then the result. */
struct call {
    uint64_t rax, rcx, rdx, r8;
};

enum ghcb_exit { HV_IPI = 0x15, DISABLE_ALTERNATE_INJECTION = 0x1c, SPECIFIC_EOI = 0x1d }; /* above 0x80000000 */

extern bool svsm_bugs[SVSM_BUGS];
extern struct cpu svsm_cpus[255];
extern unsigned svsm_cpu_count;
extern uint64_t svsm_registrations;

void svsm_handle_call(struct cpu *cpu, struct call *call);
void svsm_enter_guest(struct cpu *cpu);
void svsm_guest_left(struct cpu *cpu);
/* The vCPU has a new VMSA. */
void svsm_new_vcpu(struct cpu *cpu);

/* VMGEXIT with SW_EXITINFO1: false if the host refuses. */
bool platform_vmgexit(struct cpu *cpu, enum ghcb_exit code, uint64_t info1);
/* VMRUN: false if a #HV came first. */
bool platform_vmrun(struct cpu *cpu);
/* A termination request to the host, and an assertion that failed. */
_Noreturn void platform_terminate(const char *why);
_Noreturn void platform_panic(const char *why);

#endif /* SVSM_H */
