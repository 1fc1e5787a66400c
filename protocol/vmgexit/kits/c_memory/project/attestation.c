/* The attestation protocol of the small SVSM: a report of the secure processor on nonce and manifest. */
#include "calls.h"

#define NONCE_SIZE 64
#define CERTIFICATE_PAGES 4
#define KEY_SIZE 314 /* of the vTPM's public key, as it were: all that its manifest is */
#define OWN_MANIFEST (sizeof(struct vmgexit_services_manifest_header) + sizeof(struct vmgexit_service_entry))

static const uint8_t manifest_guid[16] = { 0xbb, 0x9e, 0x84, 0x63, 0x92, 0x3d, 0x70, 0x46,
                                           0xa1, 0xff, 0x58, 0xf9, 0xc9, 0x4b, 0x87, 0xbb };
static const uint8_t vtpm_guid[16] = { 0xeb, 0xf1, 0x76, 0xc4, 0x23, 0x01, 0xa5, 0x45,
                                       0x96, 0x41, 0xb4, 0xe7, 0xdd, 0xe5, 0xbf, 0xe3 };

static bool has_key;    /* not once a message was lost: its number would be used for another one */
static uint64_t number; /* of the last response */
static uint8_t certificates[CERTIFICATE_PAGES * VMGEXIT_PAGE];

/* The manifest of all services, of which there is one: header, entry, and the vTPM's own manifest. */
static uint8_t manifest[OWN_MANIFEST + KEY_SIZE];

/* A part of the answer, and where the guest wants it: how many bytes it has there, and how many may come. */
struct part {
    uint64_t address, size, most;
    const void *data;
    uint64_t length;
};

void attestation_init(void)
{
    struct vmgexit_services_manifest_header header = { .total_length = sizeof manifest, .entry_count = 1 };
    struct vmgexit_service_entry entry = { .offset = OWN_MANIFEST, .length = KEY_SIZE };

    has_key = true;
    number = 0;
    memcpy(header.guid, manifest_guid, sizeof manifest_guid);
    memcpy(entry.guid, vtpm_guid, sizeof vtpm_guid);
    memcpy(manifest, &header, sizeof header);
    memcpy(manifest + sizeof header, &entry, sizeof entry);
    for (unsigned i = 0; i < KEY_SIZE; i++)
        manifest[OWN_MANIFEST + i] = (uint8_t)(7 * i + 3);
}

/* Whether the guest named bytes that it may name, and that can be reached. */
static bool is_operand(uint64_t address, uint64_t length)
{
    return address + length + VMGEXIT_PAGE - 1 > address && calls_is_free(address, length) && vmgexit_touch(address, length);
}

static bool is_zero(const uint8_t *bytes, size_t count)
{
    while (count--) {
        if (bytes[count])
            return false;
    }
    return true;
}

static uint32_t fetch_operation(uint64_t address, bool is_single, struct vmgexit_attest_single_service *held)
{
    const struct vmgexit_attest_services *operation = &held->operation;
    const size_t size = is_single ? sizeof *held : sizeof *operation;

    memset(held, 0, sizeof *held);
    if (!is_operand(address, size))
        return VMGEXIT_RESULT_CODE_INVALID_ADDRESS;
    vmgexit_load(address, held, size);
    if (!is_zero(operation->reserved_0x00c, sizeof operation->reserved_0x00c) ||
        !is_zero(operation->reserved_0x01a, sizeof operation->reserved_0x01a) ||
        !is_zero(operation->reserved_0x02c, sizeof operation->reserved_0x02c) ||
        !is_zero(operation->reserved_0x03c, sizeof operation->reserved_0x03c) ||
        !is_zero(held->reserved_0x054, sizeof held->reserved_0x054) || held->manifest_version)
        return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;
    if (is_single && memcmp(held->service_guid, vtpm_guid, sizeof vtpm_guid))
        return VMGEXIT_RESULT_CODE_UNSUPPORTED_PROTOCOL;
    return VMGEXIT_RESULT_CODE_SUCCESS;
}

static uint64_t room(const struct part *part)
{
    return part->size < part->most ? part->size : part->most;
}

static bool overlap(const struct part *one, const struct part *other)
{
    return one->address < other->address + room(other) && other->address < one->address + room(one);
}

/* Before anyone is asked for a report: whether all parts can be written. */
static uint32_t check(const struct part *parts, int count)
{
    const int order[] = { 1, 0, 2 }; /* the manifest first */

    for (int i = 0; i < count; i++) {
        const struct part *part = &parts[order[i]];
        if (part->address % VMGEXIT_PAGE || (i == 2 && part->size > part->most))
            return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;
        if (part->address + part->size < part->address)
            return VMGEXIT_RESULT_CODE_INVALID_ADDRESS;
    }
    for (int i = 0; i < count; i++) {
        if (overlap(&parts[i], &parts[(i + 1) % count]))
            return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;
    }
    for (int i = 0; i < count; i++) {
        if (parts[i].size && !is_operand(parts[i].address, room(&parts[i])))
            return VMGEXIT_RESULT_CODE_INVALID_ADDRESS;
    }
    return VMGEXIT_RESULT_CODE_SUCCESS;
}

/* One exit, with room for certificates or without. */
static struct vmgexit_exit request(const uint8_t data[64], bool has_room)
{
    const struct vmgexit_exit made =
        vmgexit_guest_request(number + 1, data, has_room ? CERTIFICATE_PAGES : 0, certificates);

    if (made.kind == VMGEXIT_ANSWERED)
        number += 2;
    return made;
}

/* The host's part of an error; the low half is the firmware's. */
static bool is_refused_by(struct vmgexit_exit made, uint64_t error)
{
    return made.kind == VMGEXIT_REFUSED && made.error >> 32 << 32 == error;
}

/* Whether the response page has a report that answers the last request. */
static uint32_t answered(void)
{
    const struct vmgexit_response *response = &vmgexit_psp.response;

    has_key = response->number == number && response->is_authentic;
    if (response->number != number)
        return VMGEXIT_RESULT_CODE_INVALID_FORMAT;
    if (!response->is_authentic || response->status)
        return VMGEXIT_RESULT_CODE_INVALID_REQUEST;
    return response->fits ? VMGEXIT_RESULT_CODE_SUCCESS : VMGEXIT_RESULT_CODE_INVALID_FORMAT;
}

/* Get a report, and the certificates of the host. Where those have no room, `pages` says how many there are. */
static uint32_t get_report(const uint8_t data[64], bool has_room, uint64_t *written, uint64_t *pages)
{
    struct vmgexit_exit made;

    if (!has_key)
        return VMGEXIT_RESULT_CODE_INVALID_REQUEST;
    made = request(data, has_room);
    if (is_refused_by(made, VMGEXIT_BUSY))
        made = request(data, has_room);
    if (has_room && is_refused_by(made, VMGEXIT_TOO_SHORT)) {
        /* The request that is out must be answered, or its number would be used for another one. */
        const uint64_t needed = made.rbx;
        made = request(data, false);
        if (made.kind == VMGEXIT_ANSWERED && needed <= UINT64_MAX / VMGEXIT_PAGE) {
            *pages = needed;
            return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;
        }
        made.kind = VMGEXIT_REFUSED;
    }
    if (made.kind != VMGEXIT_ANSWERED) {
        has_key = false;
        return VMGEXIT_RESULT_CODE_INVALID_REQUEST;
    }
    *written = is_zero(certificates, VMGEXIT_CERTIFICATE_HEADER) ? 0 : made.written;
    return answered();
}

static uint32_t attest(struct vmgexit_registers *registers, bool is_single)
{
    static struct vmgexit_attest_single_service held;
    const struct vmgexit_attest_services *operation = &held.operation;
    const uint8_t *start = is_single ? manifest + OWN_MANIFEST : manifest;
    const uint64_t length = is_single ? KEY_SIZE : sizeof manifest;
    uint8_t nonce[NONCE_SIZE + sizeof manifest], data[VMGEXIT_SHA512_SIZE];
    uint64_t pages = UINT64_MAX;
    uint32_t code = fetch_operation(registers->rcx, is_single, &held);
    struct part parts[] = {
        { operation->report_gpa, operation->report_size, sizeof vmgexit_psp.response.report, &vmgexit_psp.response.report, 0 },
        { operation->manifest_gpa, operation->manifest_size, length, start, length },
        { operation->cert_gpa, operation->cert_size, sizeof certificates, certificates, 0 },
    };
    const int count = operation->cert_size ? 3 : 2;

    if (code)
        return code;
    if (operation->nonce_size != NONCE_SIZE || operation->nonce_gpa % VMGEXIT_PAGE + NONCE_SIZE > VMGEXIT_PAGE)
        return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;
    if (!is_operand(operation->nonce_gpa, NONCE_SIZE))
        return VMGEXIT_RESULT_CODE_INVALID_ADDRESS;
    vmgexit_load(operation->nonce_gpa, nonce, NONCE_SIZE);
    memcpy(nonce + NONCE_SIZE, start, length);
    code = check(parts, count);
    if (code)
        return code;
    vmgexit_sha512(nonce, NONCE_SIZE + length, data);
    code = get_report(data, count == 3, &parts[2].length, &pages);
    if (pages != UINT64_MAX) {
        registers->rcx = length;
        registers->rdx = pages * VMGEXIT_PAGE;
    }
    if (code)
        return code;
    parts[0].length = parts[0].most;
    registers->rcx = length;
    registers->rdx = parts[2].length;
    registers->r8 = parts[0].length;
    for (int i = 0; i < count; i++) {
        if (parts[i].length > parts[i].size)
            return VMGEXIT_RESULT_CODE_INVALID_PARAMETER;
    }
    for (int i = 0; i < count; i++)
        vmgexit_store(parts[i].address, parts[i].data, parts[i].length);
    return VMGEXIT_RESULT_CODE_SUCCESS;
}

uint32_t attestation_call(struct vmgexit_registers *registers)
{
    switch (registers->request) {
    case VMGEXIT_ATTESTATION_CALL_CODE_ATTEST_SERVICES:
        return attest(registers, false);
    case VMGEXIT_ATTESTATION_CALL_CODE_ATTEST_SINGLE_SERVICE:
        return attest(registers, true);
    default:
        return VMGEXIT_RESULT_CODE_UNSUPPORTED_CALL;
    }
}
