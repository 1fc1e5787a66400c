"""A peer in Python: our own machine behind the pipe that specs/peer-protocol.md describes.

    vmgexit replay scenario.jsonl --peer "python3 specs/peers/python_peer.py"

`--plant ppr` puts a bug in, to see it found: PPR reads with its low bits set. `--plant panic` stops
at a specific EOI, as an assertion in an SVSM would, and `--plant hang` never answers one. `--hits` tells
which functions of the machine each command went through.
"""

import argparse
import json
import sys
import time
import zlib
from typing import Any

from vmgexit.errors import ScenarioError
from vmgexit.machine.commands import checked
from vmgexit.machine.machine import Machine

APIC, READ_REGISTER, PPR = 3, 2, 0x80A
PLANTS = ("ppr", "panic", "hang")

Object = dict[str, Any]


def planted(plant: str, command: Object, answer: Object) -> Object:
    """What the implementation with that bug answers."""
    asked = [command.get(key) for key in ("protocol", "request", "rcx")]
    if plant == "ppr" and asked == [APIC, READ_REGISTER, PPR] and answer.get("rax") == 0:
        return answer | {"rdx": answer["rdx"] | 0xF}
    if any(call["call"] == "specific_eoi" for call in answer.get("calls", ())):
        if plant == "panic":
            return {"panic": "assertion failed: !level"}
        if plant == "hang":
            time.sleep(3600)
    return answer


def noted(hits: set[int]) -> None:
    """From now on, note each function of the machine that is called, by a number of its own."""

    def profiled(frame: Any, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and "machine" in code.co_filename:
            hits.add(zlib.crc32(code.co_qualname.encode()) % 4096)

    sys.setprofile(profiled)


def say(value: Object) -> None:
    """One line, at once: the driver waits for it."""
    print(json.dumps(value), flush=True)


def main() -> None:
    """Answer commands until there are no more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="reference")
    parser.add_argument("--plant", choices=PLANTS, default="")
    parser.add_argument("--hits", action="store_true")
    arguments = parser.parse_args()
    hits: set[int] = set()
    if arguments.hits:
        noted(hits)
    machine = Machine(arguments.profile)
    say({"vmgexit": 2, "name": "python_peer", "profile": arguments.profile})
    for line in sys.stdin:
        try:
            command = checked(json.loads(line))
        except ScenarioError as error:
            say({"unsupported": str(error)})
            continue
        answer = planted(arguments.plant, command, machine.execute(command))
        say(answer | {"hits": sorted(hits)} if arguments.hits else answer)
        hits.clear()
        if "panic" in answer:
            sys.exit(101)


if __name__ == "__main__":
    main()
