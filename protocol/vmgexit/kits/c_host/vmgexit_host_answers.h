/* What answers of a host tell. vmgexit_host.h includes this one. */
#ifndef VMGEXIT_HOST_ANSWERS_H
#define VMGEXIT_HOST_ANSWERS_H

#include "vmgexit_events.h"

static inline void vmgexit_put_run(struct vmgexit_run run)
{
    static const char *const names[] = {
        [VMGEXIT_ERROR] = "error", [VMGEXIT_TERMINATE] = "terminate", [VMGEXIT_INTERNAL] = "internal-error"
    };
    struct vmgexit_answer *answer = &vmgexit_answer;

    vmgexit_key(answer, "run");
    if (run.how == VMGEXIT_GUEST || run.how == VMGEXIT_UNTOUCHED) {
        vmgexit_put_text(answer, "guest");
        return;
    }
    vmgexit_open(answer, '[');
    vmgexit_put_text(answer, names[run.how]);
    vmgexit_put_number(answer, run.value);
    vmgexit_close(answer, ']');
}

/* Of a vCPU that does not run; false of one that does. */
static inline bool vmgexit_put_stands(uint32_t cpu)
{
    if (!vmgexit_now.has_ended && !vmgexit_vcpus[cpu].held)
        return false;
    vmgexit_text(&vmgexit_answer, "run", vmgexit_now.has_ended ? "ended" : "held");
    return true;
}

/* What follows an exit: how the guest goes on. */
static inline void vmgexit_go_on(struct vmgexit_run run)
{
    vmgexit_now.has_ended |= run.how != VMGEXIT_GUEST && run.how != VMGEXIT_UNTOUCHED;
    vmgexit_put_run(run);
}

static inline void vmgexit_put_asked(void)
{
    vmgexit_key(&vmgexit_answer, "asked");
    vmgexit_open(&vmgexit_answer, '[');
    vmgexit_put_raw(&vmgexit_answer, vmgexit_asked.data, vmgexit_asked.length);
    vmgexit_close(&vmgexit_answer, ']');
}

/* What changed in the shared buffer: runs of changed bytes that lie no more than 7 apart. */
static inline void vmgexit_put_buffer(const struct vmgexit_ghcb *before, const struct vmgexit_ghcb *after)
{
    const size_t base = offsetof(struct vmgexit_ghcb, shared_buffer), size = sizeof after->shared_buffer;

    vmgexit_key(&vmgexit_answer, "buffer");
    vmgexit_open(&vmgexit_answer, '[');
    for (size_t at = 0, last; at < size; at = last + 1) {
        last = at;
        if (before->shared_buffer[at] == after->shared_buffer[at])
            continue;
        for (size_t next = at; next < size && next - last <= 7; next++) {
            if (before->shared_buffer[next] != after->shared_buffer[next])
                last = next;
        }
        vmgexit_open(&vmgexit_answer, '[');
        vmgexit_put_number(&vmgexit_answer, base + at);
        vmgexit_put_hex(&vmgexit_answer, after->shared_buffer + at, last - at + 1);
        vmgexit_close(&vmgexit_answer, ']');
    }
    vmgexit_close(&vmgexit_answer, ']');
}

static inline void vmgexit_put_page(const struct vmgexit_ghcb *before, const struct vmgexit_ghcb *after)
{
    struct vmgexit_answer *answer = &vmgexit_answer;

    vmgexit_number(answer, "status", after->sw_exit_info_1);
    vmgexit_number(answer, "detail", after->sw_exit_info_2);
    vmgexit_key(answer, "valid");
    vmgexit_open(answer, '[');
    for (size_t i = 0; i < VMGEXIT_COUNT(vmgexit_fields); i++) {
        if (vmgexit_is_valid(after, vmgexit_fields[i].at))
            vmgexit_put_text(answer, vmgexit_fields[i].name);
    }
    vmgexit_close(answer, ']');
    vmgexit_key(answer, "registers");
    vmgexit_open(answer, '{');
    for (size_t i = 0; i < VMGEXIT_COUNT(vmgexit_returned); i++) {
        uint64_t value;
        memcpy(&value, (const uint8_t *)after + vmgexit_returned[i].at, sizeof value);
        if (vmgexit_is_valid(after, vmgexit_returned[i].at))
            vmgexit_number(answer, vmgexit_returned[i].name, value);
    }
    vmgexit_close(answer, '}');
    vmgexit_put_buffer(before, after);
}

/* What the host still has to tell VMPL 0. */
static inline void vmgexit_put_waiting(const struct vmgexit_vcpu *vcpu)
{
    struct vmgexit_answer *answer = &vmgexit_answer;

    vmgexit_key(answer, "waiting");
    vmgexit_open(answer, '[');
    if (vcpu->waiting_machine_check)
        vmgexit_put_text(answer, "machine check");
    if (vcpu->waiting_nmi)
        vmgexit_put_text(answer, "NMI");
    vmgexit_list_vectors(answer, &vcpu->waiting_irqs);
    vmgexit_close(answer, ']');
}

static inline void vmgexit_put_doorbell(const struct vmgexit_vcpu *vcpu)
{
    struct vmgexit_pending pending;

    vmgexit_key(&vmgexit_answer, "doorbell");
    if (vmgexit_load_pending(vcpu, &pending))
        vmgexit_put_number(&vmgexit_answer, (uint64_t)pending.flags << 8 | pending.vector);
    else
        vmgexit_put_null(&vmgexit_answer);
}

static inline void vmgexit_put_events(struct vmgexit_events events)
{
    vmgexit_key(&vmgexit_answer, "events");
    vmgexit_open(&vmgexit_answer, '[');
    for (size_t i = 0; i < events.count; i++)
        vmgexit_put_number(&vmgexit_answer, events.all[i]);
    vmgexit_close(&vmgexit_answer, ']');
}

/* Each vCPU that is not as it was set up. */
static inline void vmgexit_put_vcpus(struct vmgexit_answer *answer)
{
    vmgexit_key(answer, "vcpus");
    vmgexit_open(answer, '{');
    for (size_t i = 0; i < vmgexit_vm.setup.vcpus; i++) {
        const size_t length = answer->length;
        const bool needs_comma = answer->needs_comma;
        char name[24];
        snprintf(name, sizeof name, "%zu", i);
        vmgexit_key(answer, name);
        vmgexit_open(answer, '{');
        vmgexit_put_vcpu(answer, &vmgexit_vcpus[i], vmgexit_vm.setup.registered);
        if (answer->needs_comma) {
            vmgexit_close(answer, '}');
        } else { /* it is as it was set up */
            answer->length = length;
            answer->needs_comma = needs_comma;
        }
    }
    vmgexit_close(answer, '}');
}

#endif /* VMGEXIT_HOST_ANSWERS_H */
