/*
 * A peer in C: the registration part of the protocol, answered as specs/peer-protocol.md says.
 *
 * It shows what an adapter needs, which is no JSON library: commands are one line each, with keys
 * that occur once. Where a real SVSM is driven, `configure` and `call` call into it instead.
 *
 *     cc -std=c99 -o c_peer specs/peers/c_peer.c
 *     vmgexit replay scenario.jsonl --peer ./c_peer
 *     vmgexit fuzz run peer --peer ./c_peer
 *
 * With -DPLANT it has a bug: it registers (0b10) while the count is 0, where off has to stay off.
 */

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_VCPUS 255
#define GUEST_VMPL 2

enum { PROTOCOL_CORE = 0, PROTOCOL_ATTESTATION = 1, PROTOCOL_APIC = 3 };
enum { CORE_QUERY_PROTOCOL = 6 };
enum { APIC_QUERY_FEATURES = 0, APIC_CONFIGURE_EMULATION = 1, APIC_CALLS = 5 };
enum { ALIGN = 0, DEREGISTER = 1, REGISTER = 2 };

#define SUCCESS 0u
#define UNSUPPORTED_PROTOCOL 0x80000001u
#define UNSUPPORTED_CALL 0x80000002u
#define INVALID_PARAMETER 0x80000005u
#define CANNOT_REGISTER 0x80001000u

struct vcpu {
    bool emulated; /* its Alternate Injection bit is set */
    bool interrupts_enabled;
    bool shadow;
    unsigned tpr;
};

static struct vcpu vcpus[MOST_VCPUS];
static uint32_t count; /* of registrations, for the whole VM */

/* --- reading a command ------------------------------------------------------------------------ */

/* Where the value of `key` starts, or NULL. A name that is a value has no colon behind it. */
static const char *value(const char *line, const char *key)
{
    size_t length = strlen(key);

    for (const char *at = line; (at = strchr(at, '"')) != NULL; at++) {
        const char *end = at + 1 + length;
        if (strncmp(at + 1, key, length) == 0 && *end == '"') {
            end += 1 + strspn(end + 1, " ");
            if (*end == ':')
                return end + 1 + strspn(end + 1, " ");
        }
    }
    return NULL;
}

static uint64_t number(const char *line, const char *key)
{
    const char *text = value(line, key);

    return text ? strtoull(text, NULL, 10) : 0;
}

static bool flag(const char *line, const char *key)
{
    const char *text = value(line, key);

    return text && strncmp(text, "true", 4) == 0;
}

static bool operation_is(const char *line, const char *name)
{
    const char *text = value(line, "op");
    size_t length = strlen(name);

    return text && strncmp(text + 1, name, length) == 0 && text[1 + length] == '"';
}

/* --- the SVSM --------------------------------------------------------------------------------- */

/* SVSM_APIC_CONFIGURE_EMULATION: the code, and whether the vCPU is handed to the host now. */
static uint32_t configure(uint64_t request, bool *hands_over)
{
    switch (request) {
    case ALIGN:
        *hands_over = count == 0;
        return SUCCESS;
    case DEREGISTER:
        if (count > 0)
            count--;
        *hands_over = count == 0;
        return SUCCESS;
    case REGISTER:
#ifndef PLANT
        if (count == 0)
            return CANNOT_REGISTER;
#endif
        if (count == UINT32_MAX)
            return CANNOT_REGISTER;
        count++;
        return SUCCESS;
    default:
        return INVALID_PARAMETER;
    }
}

/* QUERY_PROTOCOL: highest and lowest version, or 0. All there are have version 1 only. */
static uint64_t versions(const struct vcpu *vcpu, uint64_t query)
{
    uint32_t protocol = (uint32_t)(query >> 32), version = (uint32_t)query;
    bool present = protocol == PROTOCOL_CORE || protocol == PROTOCOL_ATTESTATION ||
                   (protocol == PROTOCOL_APIC && vcpu->emulated);

    return present && version == 1 ? (1ull << 32 | 1) : 0;
}

/* --- answering -------------------------------------------------------------------------------- */

static void init(const char *line)
{
    uint64_t cpus = number(line, "cpus");

    for (uint64_t index = 0; index < MOST_VCPUS; index++)
        vcpus[index] = (struct vcpu){ .emulated = true };
    count = (uint32_t)number(line, "reg_count");
    printf("{\"ok\": true, \"cpus\": %" PRIu64 ", \"reg_count\": %" PRIu32 "}\n", cpus, count);
}

static void call(const char *line, uint64_t cpu)
{
    struct vcpu *vcpu = &vcpus[cpu];
    uint64_t protocol = number(line, "protocol"), request = number(line, "request");
    uint64_t rcx = number(line, "rcx");
    uint32_t rax = SUCCESS;
    bool hands_over = false;

    if (protocol == PROTOCOL_CORE && request == CORE_QUERY_PROTOCOL) {
        rcx = versions(vcpu, rcx);
    } else if (protocol == PROTOCOL_CORE || protocol == PROTOCOL_ATTESTATION) {
        puts("{\"unsupported\": \"call\"}");
        return;
    } else if (protocol != PROTOCOL_APIC || !vcpu->emulated) {
        rax = UNSUPPORTED_PROTOCOL;
    } else if (request == APIC_QUERY_FEATURES) {
        rcx = 0;
    } else if (request == APIC_CONFIGURE_EMULATION) {
        rax = configure(rcx, &hands_over);
    } else if (request < APIC_CALLS) {
        puts("{\"unsupported\": \"call\"}");
        return;
    } else {
        rax = UNSUPPORTED_CALL;
    }
    printf("{\"rax\": %" PRIu32 ", \"rcx\": %" PRIu64 ", \"rdx\": %" PRIu64 ", \"r8\": %" PRIu64,
           rax, rcx, number(line, "rdx"), number(line, "r8"));
    if (hands_over) {
        unsigned info1 = GUEST_VMPL << 16 | vcpu->tpr << 8 | vcpu->shadow << 1 |
                         vcpu->interrupts_enabled;
        vcpu->emulated = false;
        printf(", \"calls\": [{\"cpu\": %" PRIu64 ", \"call\": \"disable_alternate_injection\", "
               "\"info1\": %u, \"info2\": 0}]", cpu, info1);
    }
    puts("}");
}

static void guest(const char *line, struct vcpu *vcpu)
{
    vcpu->interrupts_enabled = flag(line, "if");
    vcpu->shadow = flag(line, "shadow");
    if (value(line, "cr8"))
        vcpu->tpr = (unsigned)number(line, "cr8") << 4;
    puts("{\"ok\": true}");
}

/* Only what registration is about; `unsupported` says that there should be more. */
static void state(const struct vcpu *vcpu)
{
    printf("{\"unsupported\": \"state\", \"reg_count\": %" PRIu32 ", \"alt_inj\": %s}\n", count,
           vcpu->emulated ? "true" : "false");
}

int main(void)
{
    static char line[1 << 20];

    puts("{\"vmgexit\": 2, \"name\": \"c_peer\", \"profile\": \"reference\"}");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        uint64_t cpu = number(line, "cpu") % MOST_VCPUS;

        if (operation_is(line, "init") && !value(line, "memory")) /* it has no memory */
            init(line);
        else if (operation_is(line, "call"))
            call(line, cpu);
        else if (operation_is(line, "guest"))
            guest(line, &vcpus[cpu]);
        else if (operation_is(line, "state"))
            state(&vcpus[cpu]);
        else {
            const char *name = value(line, "op");
            int length = name ? (int)strcspn(name + 1, "\"") : 0;
            printf("{\"unsupported\": \"%.*s\"}\n", length, name ? name + 1 : "");
        }
        fflush(stdout); /* each answer at once: the driver waits for it */
    }
    return 0;
}
