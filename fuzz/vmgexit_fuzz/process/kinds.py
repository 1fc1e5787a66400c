"""The kinds of worker, and how a campaign mixes them.

Workers of every kind share one corpus. A campaign gives each kind its share of the time, whatever the
number of workers: a worker works in turns, and each turn goes to the kind that is furthest behind. A turn
is as long as the kind's share. The first turns are short, so that soon everything has been tried; they
double when each kind had one, to `LONGEST_TURN`.

`python3 dev.py bench find` measures the mix and each kind alone. What was tried and did not help,
on the quirks that were found last (3 to 5 seeds, 15 to 20 s each):

- Feedback over small changes of kept inputs, and nothing else: `state` found level-on-edge-in-service
  in 0 of 3 and vector-31-from-stale-status in 0 of 3 trials; inputs from nothing found them in 3 and 2
  of 3. Kept inputs grow long, and most of each run repeats what is known. This is why one mutation goes
  on from a prefix, and why a third of an engine's inputs come from nothing: with both, `state` found each
  in 5 of 5.
- Shorter inputs (40 commands instead of 96), and more small changes at once (1 to 8): no sooner.
- Lines of `sys.monitoring`, each told once, in place of probes in every branch (Python 3.12, side by side,
  load 6 to 10): 1.2 to 1.5 times as many commands a second of `state`, none more of `probes`. Of four late
  bugs and 16 trials each way found 13, but `state` with lines took 0.8 to 2.6 times the inputs for them and
  1.2 to 2.1 times the time: an input whose lines were all passed before counts for nothing.
- Messages that break exactly one rule, named by `problems()`, from sound ones: in 90 s of `codec` they
  come to the coverage of plain changes (681 against 680), with a quarter of the inputs.

Bugs that no scenario of ten commands shows (`tests/campaigns/planted/deep.py`; 5 trials each of 8 s of
processor time) were found by luck, while a burst nested two or three interrupts and ended them:

- Of 6 bugs of interrupts `state` found 18 in 30 trials: lazy-eoi-ends-the-second 5 times (median 0.45 s),
  in-service-stack-of-four 5 (5.5 s), hand-over-of-three-in-service 3, ipi-between-handlers-lost 3,
  registration-refused-while-busy 2, new-vmsa-acknowledges-three never.
- Since a burst nests up to five, on one vCPU or on two, lets interrupts in and leaves some in service,
  `state` finds each in 5 of 5, in 0.17 to 2.9 s, and `random` in 0.03 to 0.26 s.
- Of 3 bugs with memory none was found before bursts came from stock, and then one,
  sequence-number-of-four-bits. Since a burst creates up to six vCPUs, `random` finds the other two in
  5 of 5, in 0.14 and 0.40 s.
- A burst two to nine times in a row, in one of eight inputs from nothing, helped with none of them, and
  `state` found vector-31-from-stale-status in 2.0 s in place of 0.6.

Commands a second of processor time, of one worker after its start, before and after bursts from stock and
`Quick`; `random` / `state` / `probes`. Memory alone, without invariants, is 74,000:

- svsm: 7,900 / 7,800 / 8,200, then 24,600 / 20,200 / 20,200; svsm-hostile then 26,100 / 21,000.
- svsm-calls: 43,500 / 30,800, then 90,900 / 56,900 (`random` / `state`).
- ghcb-host: 5,300 of `random`, then 9,600, and 10,500 of `probes`. On a machine with a load of 11: 6,900 of
  `random`, 7,500 of `probes`, and 6,500 of a `state` that was tried.

Hosts have no `state`. It was tried with five or six cells for each command: which exit or MSR request and
how it ended, how often it had ended so, the events that wait and those in the doorbell page, VMSAs,
registrations and jump table, what was mapped. In processor time, side by side:

- 8 bugs that are found late, 5 trials each of 6 s: `probes` found 40 in 40 trials and `state` 39; the
  medians of the bugs come to 6.1 and 9.8 s together. scratch-maps-leak, which takes ten exits of a kind:
  `probes` 5 of 5 (2.5 s), `random` 5 (4.7 s), `state` 5 (4.8 s).
- In 10 s `random` reached 1,257 of the cells, `probes` 1,267 and `state` 1,243; branches of our code 656,
  653 and 652.
- The cells are of no use to `msr`, whose two words leave no state. `hostile-host` has those of the machine.

What helped there are inputs. Once one change went on from a prefix and one repeated operations, `probes`
found 20 of 24 (8 late bugs, 3 trials of 4 s), before 18, and scratch-maps-leak, before never. Since words
that are marked valid are mostly what a page is made to lack, and scratch areas are far away too, `random`
finds unreadable-scratch-ends-run in 0.45 s in place of 3.8, bad-doorbell-set-forgets in 1.2 s in place of
1.9, and cpuid-xcr0-by-64-bits no sooner, in 4 s (5 trials each).
"""

from __future__ import annotations

from dataclasses import dataclass

from vmgexit.errors import UsageError

from .. import probes
from ..targets import TargetRow

FIRST_TURN = 4.0  # seconds, of the kind with the largest share
LONGEST_TURN = 60.0


@dataclass(frozen=True, slots=True)
class WorkerKind:
    """One kind of worker. `share` is its part of the time, in parts of all shares of the mix."""

    name: str
    share: int
    what: str
    engine: bool = True  # libFuzzer; without it, programs from nothing in a plain loop
    probes: bool = False  # our own probes
    lines: bool = False  # in their place the lines of sys.monitoring
    states: bool = False  # the machine's coarse state; of targets that have one
    atheris: bool = False  # atheris's instrumentation, whose compares libFuzzer learns from
    mutator: bool = True  # what the declarations know, beside plain bytes

    @property
    def rests(self) -> bool:
        """Whether its process can rest between two turns: where it makes its inputs itself."""
        return self.mutator or not self.engine


KINDS = {
    kind.name: kind
    for kind in (
        WorkerKind("random", 2, "well-formed inputs from nothing, no feedback", engine=False),
        WorkerKind("state", 5, "probes, and the machine's coarse state", probes=True, states=True),
        WorkerKind("probes", 2, "probes in every branch", probes=True),
        WorkerKind("compare", 1, "atheris, with what its compares saw", atheris=True),
        # To measure with; they have no share of a campaign.
        WorkerKind("atheris", 0, "atheris on plain bytes", atheris=True, mutator=False),
        WorkerKind("lines", 0, "state by sys.monitoring", probes=True, lines=True, states=True),
        WorkerKind("none", 0, "libFuzzer without feedback"),
        WorkerKind("plain", 0, "libFuzzer without feedback, on plain bytes", mutator=False),
    )
}


BESIDE_A_PEER = {"random": 8, "probes": 2}
"""The mix where another implementation is fuzzed. What our own code covers and compares says little of a
peer's, so most of the time goes to the kind that drives it fastest; `probes` follows its `hits`, too."""


def turn_seconds(shares: dict[str, int], kind: str, turn: int) -> float:
    """How long the turn of a kind is that is a worker's turn number `turn`, from 0."""
    doublings = min(turn // len(shares), 8)  # of thousands of turns, a power would be out of range
    seconds = min(FIRST_TURN * 2.0**doublings, LONGEST_TURN)
    return seconds * shares[kind] / max(shares.values())


def mix(names: list[str], target: TargetRow) -> dict[str, int]:
    """The shares of the kinds named, or of the usual ones; those that the target has a use for."""
    if target.takes_peer and not names:
        return dict(BESIDE_A_PEER)
    chosen = [KINDS[name] for name in names] or [kind for kind in KINDS.values() if kind.share]
    if probes.monitoring is None and any(kind.lines for kind in chosen):
        raise UsageError("--kinds lines: this Python has no sys.monitoring; 3.12 or later expected")
    return {
        kind.name: kind.share or 1
        for kind in chosen
        if names or target.has_states or not kind.states
    }
