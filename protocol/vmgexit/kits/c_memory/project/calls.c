/*
 * The calls of a small SVSM, to be replaced by yours: the core and the vTPM protocol, on the guest's memory.
 * Attestation is in attestation.c, and what has to do with interrupts in svsm.c.
 *
 * It keeps no record of the pages that it validated, and never frees the first VMSA.
 */
#include "calls.h"
#include "svsm.h"

#define HEAD 8 /* bytes of a calling area that are not for the guest's own use */
#define HOLE UINT64_C(0xfffffffff000) /* a page that is no guest's */
#define CALLS_OWN UINT32_C(0x80001000) /* a failed instruction answers its status above this code */

static struct vmgexit_vm *the_vm;
static struct vmgexit_registration entries[VMGEXIT_MOST_REGISTERED];
static size_t count;

void calls_init(struct vmgexit_vm *vm)
{
    const struct vmgexit_home *home = vmgexit_home_of(&vm->vcpus[0]);

    the_vm = vm;
    entries[0] = (struct vmgexit_registration){ .vmsa = home->vmsa, .area = home->area };
    count = 1;
    attestation_init();
    svsm_init(vm);
}

/* Of the APIC protocol it has as much as svsm.c. */
bool calls_knows(uint32_t protocol, uint32_t request)
{
    return protocol != VMGEXIT_PROTOCOL_CODE_APIC || !vmgexit_memory.has_apic || svsm_knows(protocol, request);
}

size_t calls_registry(struct vmgexit_registration *rows, size_t most)
{
    memcpy(rows, entries, (count < most ? count : most) * sizeof *rows);
    return count < most ? count : most;
}

static bool overlap(uint64_t start, uint64_t length, uint64_t other, uint64_t other_length)
{
    return start < other + other_length && other < start + length;
}

bool calls_is_free(uint64_t start, uint64_t length)
{
    if (start + length < start || overlap(start, length, HOLE, VMGEXIT_PAGE) || !vmgexit_in_map(start, length))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (overlap(start, length, entries[i].vmsa, VMGEXIT_PAGE) || overlap(start, length, entries[i].area, HEAD))
            return false;
    }
    return true;
}

static uint32_t code_of(unsigned status)
{
    return status ? CALLS_OWN + status : VMGEXIT_RESULT_CODE_SUCCESS;
}

/* Take a page from the guest: VMPL 2 and 3 may do nothing with it. The status of what failed. */
static unsigned revoke(uint64_t page, bool is_large)
{
    const unsigned status = vmgexit_rmpadjust(page, is_large, 2, 0, false);

    return status ? status : vmgexit_rmpadjust(page, is_large, 3, 0, false);
}

static unsigned grant(uint64_t page, bool is_large)
{
    return vmgexit_rmpadjust(page, is_large, VMGEXIT_GUEST_VMPL, VMGEXIT_ALL_PERMISSIONS, false);
}

static uint32_t remap(struct vmgexit_vcpu *cpu, uint64_t area)
{
    struct vmgexit_home *home = vmgexit_home_of(cpu);
    const uint8_t zero[HEAD] = { 0 };

    if (area % VMGEXIT_PAGE)
        return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;
    if (area != home->area && !calls_is_free(area, HEAD))
        return VMGEXIT_RESULT_CODE_INVALID_ADDRESS;
    if (!vmgexit_touch(area, HEAD))
        return VMGEXIT_RESULT_CODE_INVALID_ADDRESS;
    vmgexit_store(area, zero, sizeof zero);
    if (area == vmgexit_place_of(cpu)->mapped.area)
        cpu->calling.no_eoi_required = 0;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].area == home->area)
            entries[i].area = area;
    }
    home->area = area;
    return VMGEXIT_RESULT_CODE_SUCCESS;
}

static uint32_t validate(uint64_t page, bool is_large, bool ignores_cf)
{
    const uint64_t length = is_large ? VMGEXIT_LARGE_PAGE : VMGEXIT_PAGE;
    bool unchanged;
    const unsigned status = vmgexit_pvalidate(page, is_large, true, &unchanged);

    if (status)
        return code_of(status);
    if (unchanged && !ignores_cf)
        return VMGEXIT_RESULT_CODE_FAIL_NOCHANGE;
    if (!unchanged)
        vmgexit_clear(page, length); /* what it held is not the guest's */
    return code_of(grant(page, is_large));
}

static uint32_t invalidate(uint64_t page, bool is_large, bool ignores_cf)
{
    bool unchanged;
    unsigned status = revoke(page, is_large);

    if (status && status != VMGEXIT_FAIL_INPUT) /* which says that it is invalid already */
        return code_of(status);
    status = vmgexit_pvalidate(page, is_large, false, &unchanged);
    if (status)
        return code_of(status);
    if (unchanged && !ignores_cf)
        return VMGEXIT_RESULT_CODE_FAIL_NOCHANGE;
    vmgexit_flush(page, is_large);
    return VMGEXIT_RESULT_CODE_SUCCESS;
}

static uint32_t do_entry(vmgexit_pvalidate_entry entry, uint64_t list)
{
    const uint64_t size = VMGEXIT_GET(entry, VMGEXIT_PVALIDATE_ENTRY_PAGE_SIZE);
    const uint64_t page = entry & VMGEXIT_PVALIDATE_ENTRY_FRAME_MASK;
    const uint64_t length = size ? VMGEXIT_LARGE_PAGE : VMGEXIT_PAGE;
    const bool ignores_cf = entry & VMGEXIT_PVALIDATE_ENTRY_IGNORE_CF_MASK;

    if (entry & VMGEXIT_PVALIDATE_ENTRY_MUST_BE_ZERO || size > VMGEXIT_PAGE_SIZE_CODE_SIZE_2M || page % length)
        return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;
    if (!calls_is_free(page, length) || overlap(page, length, list, 1))
        return VMGEXIT_RESULT_CODE_INVALID_ADDRESS;
    return entry & VMGEXIT_PVALIDATE_ENTRY_VALIDATE_MASK ? validate(page, size, ignores_cf)
                                                         : invalidate(page, size, ignores_cf);
}

/* Do the entries of a list from the next one on, until one is refused. */
static uint32_t pvalidate(uint64_t list)
{
    struct vmgexit_pvalidate_header header;
    uint32_t code = VMGEXIT_RESULT_CODE_SUCCESS;

    if (list % sizeof header)
        return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;
    if (!calls_is_free(list, sizeof header) || !vmgexit_touch(list, sizeof header))
        return VMGEXIT_RESULT_CODE_INVALID_ADDRESS;
    vmgexit_load(list, &header, sizeof header);
    if (header.next >= header.entries || header.entries > (VMGEXIT_PAGE - list % VMGEXIT_PAGE) / 8 - 1)
        return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;
    if (!calls_is_free(list + sizeof header, header.entries * UINT64_C(8)))
        return VMGEXIT_RESULT_CODE_INVALID_ADDRESS;
    while (!code && header.next < header.entries) {
        vmgexit_pvalidate_entry entry;
        vmgexit_load(list + sizeof header + header.next * UINT64_C(8), &entry, sizeof entry);
        code = do_entry(entry, list);
        header.next = (uint16_t)(header.next + !code);
    }
    vmgexit_store(list, &header, sizeof header);
    return code;
}

static bool is_startable(const struct vmgexit_vcpu *cpu, uint64_t page)
{
    const struct vmgexit_vmsa *vmsa = &vmgexit_content_at(page)->vmsa;
    const struct vmgexit_vmsa *own = &vmgexit_content_at(vmgexit_place_of(cpu)->mapped.vmsa)->vmsa;

    return vmsa->vmpl == VMGEXIT_GUEST_VMPL && vmsa->efer & VMGEXIT_EFER_SVME && vmsa->sev_features == own->sev_features;
}

/* Take the page from the guest, look at what it holds, and make it a VMSA. */
static uint32_t take_as_vmsa(const struct vmgexit_vcpu *cpu, uint64_t page)
{
    const struct vmgexit_rmp_entry before = vmgexit_behind(page)->rmp;
    unsigned status = revoke(page, false);

    if (status)
        return code_of(status);
    vmgexit_flush(page, false);
    if (!is_startable(cpu, page)) {
        for (unsigned vmpl = 2; vmpl < 4 && !status; vmpl++)
            status = vmgexit_rmpadjust(page, false, vmpl, before.perms[vmpl], false);
        return status ? code_of(status) : VMGEXIT_RESULT_CODE_INVALID_PARAMETER;
    }
    status = revoke(page, false);
    return code_of(status ? status : vmgexit_rmpadjust(page, false, VMGEXIT_GUEST_VMPL, 0, true));
}

static uint32_t create_vcpu(const struct vmgexit_vcpu *cpu, uint64_t page, uint64_t area, uint32_t apic_id)
{
    struct vmgexit_registration *entry = &entries[count];
    uint32_t target = 0, code;

    if (page % VMGEXIT_PAGE || area % VMGEXIT_PAGE)
        return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;
    if (page == area || !(page % VMGEXIT_LARGE_PAGE) || !calls_is_free(page, VMGEXIT_PAGE) || !calls_is_free(area, VMGEXIT_PAGE))
        return VMGEXIT_RESULT_CODE_INVALID_ADDRESS;
    while (target < the_vm->cpus && the_vm->vcpus[target].apic_id != apic_id)
        target++;
    if (target == the_vm->cpus)
        return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;
    if (!vmgexit_touch(area, HEAD))
        return VMGEXIT_RESULT_CODE_INVALID_ADDRESS;
    if (count == VMGEXIT_MOST_REGISTERED)
        return VMGEXIT_RESULT_CODE_INVALID_REQUEST;
    code = take_as_vmsa(cpu, page);
    if (code) {
        vmgexit_flush_all();
        return code;
    }
    *entry = (struct vmgexit_registration){ .vmsa = page, .area = area, .cpu = target, .is_guests = true, .in_use = true };
    count++;
    *vmgexit_home_of(&the_vm->vcpus[target]) =
        (struct vmgexit_home){ .vmsa = page, .area = area, .has_vmsa = true, .has_area = true };
    return code;
}

static uint32_t delete_vcpu(uint64_t page)
{
    struct vmgexit_home *home;
    size_t found = 0;
    uint64_t efer;
    unsigned status;

    while (found < count && (entries[found].vmsa != page || !entries[found].in_use))
        found++;
    if (found == count)
        return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;
    if (!vmgexit_touch(page, VMGEXIT_PAGE))
        return VMGEXIT_RESULT_CODE_INVALID_ADDRESS;
    efer = vmgexit_content_at(page)->vmsa.efer;
    vmgexit_content_at(page)->vmsa.efer = efer & ~VMGEXIT_EFER_SVME; /* nothing enters it any more */
    status = revoke(page, false);
    if (status) {
        vmgexit_content_at(page)->vmsa.efer = efer;
        return code_of(status);
    }
    status = grant(page, false);
    vmgexit_flush(page, false);
    home = vmgexit_home_of(&the_vm->vcpus[entries[found].cpu]);
    if (home->vmsa == page)
        *home = (struct vmgexit_home){ .has_vmsa = false };
    entries[found] = entries[--count];
    vmgexit_lose_vmsa(page);
    return code_of(status);
}

/* QUERY_PROTOCOL: the highest and the lowest version, or 0. Every protocol has version 1 only. */
static uint64_t versions(const struct vmgexit_vcpu *cpu, uint64_t query)
{
    const uint64_t protocol = VMGEXIT_GET(query, VMGEXIT_SVSM_PROTOCOL_QUERY_PROTOCOL);
    const bool has = protocol <= VMGEXIT_PROTOCOL_CODE_VTPM ||
                     (protocol == VMGEXIT_PROTOCOL_CODE_APIC && cpu->guest.alternate_injection);

    if (!has || VMGEXIT_GET(query, VMGEXIT_SVSM_PROTOCOL_QUERY_VERSION) != 1)
        return 0;
    return VMGEXIT_PUT(UINT64_C(1), VMGEXIT_SVSM_VERSION_RANGE_HIGHEST, 1);
}

static uint32_t core(struct vmgexit_vcpu *cpu, struct vmgexit_registers *registers)
{
    switch (registers->request) {
    case VMGEXIT_CORE_CALL_CODE_REMAP_CA:
        return remap(cpu, registers->rcx);
    case VMGEXIT_CORE_CALL_CODE_PVALIDATE:
        return pvalidate(registers->rcx);
    case VMGEXIT_CORE_CALL_CODE_CREATE_VCPU:
        return create_vcpu(cpu, registers->rcx, registers->rdx, (uint32_t)registers->r8);
    case VMGEXIT_CORE_CALL_CODE_DELETE_VCPU:
        return delete_vcpu(registers->rcx);
    case VMGEXIT_CORE_CALL_CODE_QUERY_PROTOCOL:
        registers->rcx = versions(cpu, registers->rcx);
        return VMGEXIT_RESULT_CODE_SUCCESS;
    case VMGEXIT_CORE_CALL_CODE_CONFIGURE_VTOM:
        if (!(registers->rcx & 1))
            return VMGEXIT_RESULT_CODE_INVALID_REQUEST;
        registers->rcx = 0;
        return VMGEXIT_RESULT_CODE_SUCCESS;
    default:
        return VMGEXIT_RESULT_CODE_UNSUPPORTED_CALL;
    }
}

/* A command of the TPM: platform command, locality, size, input; afterwards size and response. */
static uint32_t tpm_command(uint64_t buffer)
{
    static uint8_t held[VMGEXIT_PAGE], response[VMGEXIT_MOST_TPM_RESPONSE];
    const uint8_t *input = held + 9;
    uint32_t number, size;

    if (!buffer)
        return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;
    if (!calls_is_free(buffer, sizeof number) || !vmgexit_touch(buffer, sizeof number))
        return VMGEXIT_RESULT_CODE_INVALID_ADDRESS;
    vmgexit_load(buffer, &number, sizeof number);
    if (number != 8)
        return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;
    if (!calls_is_free(buffer, sizeof held) || !vmgexit_touch(buffer, sizeof held))
        return VMGEXIT_RESULT_CODE_INVALID_ADDRESS;
    vmgexit_load(buffer, held, sizeof held);
    memcpy(&size, held + 5, sizeof size);
    if (held[4] || size > sizeof held - 9)
        return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;
    size = (uint32_t)vmgexit_tpm(input, size, response);
    if (!size || size > sizeof held - sizeof size)
        return VMGEXIT_RESULT_CODE_INVALID_REQUEST;
    memset(held, 0, sizeof held);
    memcpy(held, &size, sizeof size);
    memcpy(held + sizeof size, response, size);
    vmgexit_store(buffer, held, sizeof held);
    return VMGEXIT_RESULT_CODE_SUCCESS;
}

static uint32_t vtpm(struct vmgexit_registers *registers)
{
    if (registers->request == 1)
        return tpm_command(registers->rcx);
    if (registers->request)
        return VMGEXIT_RESULT_CODE_UNSUPPORTED_CALL;
    registers->rcx = 1 << 8; /* platform command 8: send a command */
    registers->rdx = 0;
    return VMGEXIT_RESULT_CODE_SUCCESS;
}

void calls_serve(struct vmgexit_vcpu *cpu, struct vmgexit_registers *registers)
{
    switch (registers->protocol) {
    case VMGEXIT_PROTOCOL_CODE_CORE:
        registers->rax = core(cpu, registers);
        break;
    case VMGEXIT_PROTOCOL_CODE_ATTESTATION:
        registers->rax = attestation_call(registers);
        break;
    case VMGEXIT_PROTOCOL_CODE_VTPM:
        registers->rax = vtpm(registers);
        break;
    case VMGEXIT_PROTOCOL_CODE_APIC:
        svsm_call(cpu, registers);
        break;
    default:
        registers->rax = VMGEXIT_RESULT_CODE_UNSUPPORTED_PROTOCOL;
    }
}
