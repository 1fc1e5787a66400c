/*
 * The adapter of your SVSM: which of its functions answer which commands.
 *
 * Replace svsm.c, calls.c and attestation.c by your SVSM, or by calls into it. What is left out here is
 * answered by "unsupported", and never counts as wrong: an SVSM that emulates no APICs needs little of `svsm`.
 */
#include "calls.h"
#include "svsm.h"
#include "vmgexit_memory_adapter.h"

static struct vmgexit_svsm svsm = {
    .name = "a small SVSM with memory", /* your SVSM and its version */
    /* What it does otherwise than the reference, by the names of our quirks. */
    .profile = "validated-twice,boot-calling-area-stuck",
    .stays = true, /* after a stop: calls_init and svsm_init make all of it anew */
    .init = svsm_init,
    .knows = svsm_knows,
    .call = svsm_call,
    .enter = svsm_enter,
    .left = svsm_left,
    .new_vmsa = svsm_new_vmsa,
    .reg_count = svsm_reg_count,
};

static const struct vmgexit_svsm_on_memory on_memory = {
    .has_apic = true,
    .init = calls_init,
    .knows = calls_knows,
    .call = calls_serve,
    .registry = calls_registry,
};

int main(void)
{
    return vmgexit_answer_on_memory(&svsm, &on_memory);
}
