"""`vmgexit peer record`: what an adapter answers, as a recording that `vmgexit replay` reads."""

from __future__ import annotations

import argparse
import lzma
from pathlib import Path

from .. import files
from ..compare.peer import Peer
from ..compare.record import Recorded, record
from .formatter import examples
from .peer import add_peer, words_of
from .sequence_files import read_sequences


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Run scenarios or recordings on an adapter and write its answers, one sequence a line. Answers in"
        " the files are not looked at. What the adapter does not support stands there without an answer."
        " Exits 1 if the adapter failed in a sequence, which ends there."
    )
    parser.epilog = examples(
        "vmgexit peer record --peer ./adapter -o mine.jsonl.xz corpus/recordings/host.jsonl.xz"
    )
    add_peer(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        required=True,
        help="compressed if it ends in .xz",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="recording or scenario, or -")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    files.check_folder_of(arguments.output)
    recorded = Recorded()
    with Peer(words_of(arguments), arguments.peer_timeout) as peer:
        sequences = (sequence for name in arguments.files for sequence in read_sequences(name))
        text = "".join(record(sequences, peer, recorded)).encode()
    if arguments.output.suffix == ".xz":
        text = lzma.compress(text)
    files.write_output(arguments.output, text)
    for failure in recorded.failed:
        print(failure)
    print(f"{arguments.output}: {recorded}")
    return 1 if recorded.failed else 0
