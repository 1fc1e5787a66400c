/*
 * The adapter of your SVSM: which of its functions answer which commands.
 *
 * Replace svsm.c by your SVSM, or by calls into it. A function that your SVSM does not have is left out
 * here; its commands are then answered by "unsupported", and never count as wrong.
 */
#include "svsm.h"
#include "vmgexit_adapter.h"

static const struct vmgexit_svsm svsm = {
    .name = "a small SVSM",   /* your SVSM and its version */
    .profile = "reference",
    .stays = true,            /* after a stop: svsm_init makes all of it anew */
    .init = svsm_init,
    .knows = svsm_knows,
    .call = svsm_call,
    .enter = svsm_enter,
    .left = svsm_left,
    .new_vmsa = svsm_new_vmsa,
    /* .apic: this SVSM does not have it */
    .reg_count = svsm_reg_count,
};

#ifdef VMGEXIT_LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vmgexit_is_quiet = true;
    return vmgexit_run_program(&svsm, data, size);
}
#else
int main(void)
{
    return vmgexit_answer_commands(&svsm);
}
#endif
