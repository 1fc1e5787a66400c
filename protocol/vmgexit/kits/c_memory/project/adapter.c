/*
 * The adapter of your SVSM: which of its functions answer which commands.
 *
 * Replace svsm.c by your SVSM, or by calls into it. One that emulates APICs on a machine without memory
 * names those functions in `svsm` (kit/vmgexit_adapter.h); what is left out is answered by "unsupported", and
 * never counts as wrong.
 */
#include "svsm.h"
#include "vmgexit_memory_adapter.h"

static struct vmgexit_svsm svsm = {
    .name = "a small SVSM with memory", /* your SVSM and its version */
    /* What it does otherwise than the reference, by the names of our quirks. */
    .profile = "validated-twice,boot-calling-area-stuck",
    .stays = true,
};

static const struct vmgexit_svsm_on_memory on_memory = {
    .init = svsm_init,
    .call = svsm_call,
    .registry = svsm_registry,
};

int main(void)
{
    return vmgexit_answer_on_memory(&svsm, &on_memory);
}
