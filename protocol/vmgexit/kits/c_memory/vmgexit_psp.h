/*
 * The secure processor behind an SVSM, which it reaches through the host: prepared answers, a report.
 *
 * A message is kept as what it says: nothing is sealed. An SVSM that seals its messages hands over what it
 * would seal, and reads vmgexit_psp.response as what it would have opened.
 */
#ifndef VMGEXIT_PSP_H
#define VMGEXIT_PSP_H

#include "vmgexit_memory.h"
#include "vmgexit_sha2.h"

#define VMGEXIT_MOST_PREPARED 4096
#define VMGEXIT_CERTIFICATE_HEADER 24 /* bytes, which may be zero */
/* Errors of the host: it has more certificates than fit; try again later. */
#define VMGEXIT_TOO_SHORT (UINT64_C(1) << 32)
#define VMGEXIT_BUSY (UINT64_C(2) << 32)

enum vmgexit_exit_kind {
    VMGEXIT_ANSWERED,
    VMGEXIT_INVALID, /* not what the host may answer */
    VMGEXIT_REFUSED, /* by an error of the host */
};

/* What came of an exit to the host. */
struct vmgexit_exit {
    enum vmgexit_exit_kind kind;
    uint64_t error, rbx;
    size_t written; /* bytes of certificates, where there is room for them */
};

/* What the response page holds. */
struct vmgexit_response {
    uint64_t number; /* that of the request plus 1; 0: there was none */
    uint64_t status;
    bool is_authentic;
    bool fits; /* the payload has the size of a report response */
    struct vmgexit_attestation_report report;
};

/* What is prepared, and what host and SVSM share. */
struct vmgexit_psp {
    struct vmgexit_prepared prepared[VMGEXIT_MOST_PREPARED];
    size_t count, next;
    struct vmgexit_certificates certificates; /* those that the host has */
    struct vmgexit_response response;
};

extern struct vmgexit_psp vmgexit_psp;

/* As a fresh VM has it. */
static inline void vmgexit_begin_psp(void)
{
    vmgexit_psp.count = vmgexit_psp.next = 0;
    vmgexit_psp.certificates = (struct vmgexit_certificates){ .pages = 1, .fill = 0xce, .header = true };
    memset(&vmgexit_psp.response, 0, sizeof vmgexit_psp.response);
}

/* What the host does by `psp`. */
static inline void vmgexit_prepare(const struct vmgexit_psp_command *command)
{
    vmgexit_psp.count = command->answers.count;
    vmgexit_psp.next = 0;
    memcpy(vmgexit_psp.prepared, command->answers.at, command->answers.count * sizeof *command->answers.at);
    if (command->has_certs)
        vmgexit_psp.certificates = command->certs;
}

/* A report; for a signature it has SHA-512 of what would be signed. */
static inline void vmgexit_make_report(struct vmgexit_attestation_report *report, const uint8_t data[64])
{
    *report = (struct vmgexit_attestation_report){ .version = 2, .signature_algo = 1 };
    memcpy(report->report_data, data, sizeof report->report_data);
    memset(report->measurement, 0xa1, sizeof report->measurement);
    vmgexit_sha512((const uint8_t *)report, offsetof(struct vmgexit_attestation_report, signature),
                   (uint8_t *)&report->signature);
}

/*
 * Ask the secure processor for a report on 64 bytes, by the message of this number; with so many pages of
 * room for certificates, which may be none. The answer is in vmgexit_psp.response.
 */
static inline struct vmgexit_exit vmgexit_guest_request(uint64_t number, const uint8_t data[64], uint64_t pages,
                                                        uint8_t *certificates)
{
    const struct vmgexit_certificates *has = &vmgexit_psp.certificates;
    struct vmgexit_prepared answer = { .kind = VMGEXIT_PSP_KIND_OK };
    struct vmgexit_exit made = { .kind = VMGEXIT_ANSWERED };

    if (vmgexit_psp.next < vmgexit_psp.count)
        answer = vmgexit_psp.prepared[vmgexit_psp.next++];
    if (pages && has->pages > pages && answer.kind != VMGEXIT_PSP_KIND_INVALID && answer.kind != VMGEXIT_PSP_KIND_ERR)
        answer = (struct vmgexit_prepared){ VMGEXIT_PSP_KIND_ERR, .err = VMGEXIT_TOO_SHORT, .rbx = has->pages };
    switch (answer.kind) {
    case VMGEXIT_PSP_KIND_ERR:
        VMGEXIT_NOTE("guest_request", pages, answer.err, answer.rbx);
        made = (struct vmgexit_exit){ VMGEXIT_REFUSED, .error = answer.err, .rbx = answer.rbx };
        break;
    case VMGEXIT_PSP_KIND_STATUS:
        VMGEXIT_NOTE("guest_request", pages, answer.status);
        break;
    case VMGEXIT_PSP_KIND_INVALID:
        made.kind = VMGEXIT_INVALID; /* fall through */
    default:
        VMGEXIT_NOTE("guest_request", pages);
    }
    vmgexit_note_word(vmgexit_psp_kind_names[answer.kind]);
    if (made.kind != VMGEXIT_ANSWERED)
        return made;
    if (pages) {
        made.written = has->pages * VMGEXIT_PAGE;
        memset(certificates, (int)has->fill, made.written);
        if (!has->header)
            memset(certificates, 0, made.written ? VMGEXIT_CERTIFICATE_HEADER : 0);
    }
    if (answer.kind == VMGEXIT_PSP_KIND_STALE)
        return made;
    vmgexit_psp.response = (struct vmgexit_response){
        .number = number + 1, .status = answer.status, .is_authentic = answer.kind != VMGEXIT_PSP_KIND_TAMPER,
        .fits = answer.kind != VMGEXIT_PSP_KIND_SIZE,
    };
    vmgexit_make_report(&vmgexit_psp.response.report, data);
    return made;
}

#endif /* VMGEXIT_PSP_H */
