/* The TPM behind an SVSM, as small as can be: it keeps nothing from command to command. */
#ifndef VMGEXIT_TPM_H
#define VMGEXIT_TPM_H

#include "vmgexit_memory.h"

#define VMGEXIT_MOST_TPM_RESPONSE 65536

static inline size_t vmgexit_tpm_answers(uint32_t code, const char *body, size_t size, uint8_t *response)
{
    const uint8_t header[10] = { 0x80, 1, 0, 0, 0, (uint8_t)(10 + size), 0, 0, (uint8_t)(code >> 8), (uint8_t)code };

    memcpy(response, header, sizeof header);
    memcpy(response + sizeof header, body, size);
    return sizeof header + size;
}

/* Carry out a command: how long the response is, which `response` has room for in any case. */
static inline size_t vmgexit_tpm(const uint8_t *command, size_t size, uint8_t response[VMGEXIT_MOST_TPM_RESPONSE])
{
    size_t length;

    VMGEXIT_NOTE("tpm", size);
    if (size < 10)
        return vmgexit_tpm_answers(0x142, "", 0, response);
    switch ((uint32_t)command[6] << 24 | (uint32_t)command[7] << 16 | (uint32_t)command[8] << 8 | command[9]) {
    case 0x144: /* TPM2_Startup */
        return vmgexit_tpm_answers(0, "", 0, response);
    case 0x17b: /* TPM2_GetRandom */
        return vmgexit_tpm_answers(0, "\0\4\xde\xad\xbe\xef", 6, response);
    case 0x20000001: /* as many bytes as it says */
        length = size < 12 ? 0 : (size_t)command[10] << 8 | command[11];
        for (size_t i = 0; i < length; i++)
            response[i] = (uint8_t)(i ^ 0x5a);
        return length;
    case 0x20000002: /* the command, backwards */
        for (size_t i = 0; i < size; i++)
            response[i] = command[size - 1 - i];
        return size;
    default:
        return vmgexit_tpm_answers(0x143, "", 0, response);
    }
}

#endif /* VMGEXIT_TPM_H */
