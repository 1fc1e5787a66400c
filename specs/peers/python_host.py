"""A peer in Python that is a GHCB host: our own host behind the pipe that specs/peer-protocol.md describes.

    vmgexit replay corpus/hosts/*.jsonl --peer "python3 specs/peers/python_host.py"

`--plant size` puts a bug in, to see it found: an IOIO exit of size 0 is done, where it has to be refused.
"""

import argparse
import json
import sys
from typing import Any

from vmgexit.descriptions import checked
from vmgexit.errors import ScenarioError, VmgexitError
from vmgexit.hosts.commands import COMMANDS
from vmgexit.hosts.quirks import only, profile
from vmgexit.hosts.scenario import Session

PLANTED = {"": (), "size": ("io-size-zero-done",)}


def say(value: dict[str, Any]) -> None:
    """One line, at once: the driver waits for it."""
    print(json.dumps(value), flush=True)


def main() -> None:
    """Answer commands until there are no more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="reference")
    parser.add_argument("--plant", choices=PLANTED, default="")
    arguments = parser.parse_args()
    planted = PLANTED[arguments.plant]
    session = Session(only(*planted) if planted else profile(arguments.profile))
    say({"vmgexit": 2, "name": "python_host", "profile": arguments.profile, "machine": "host"})
    for line in sys.stdin:
        try:
            say(session.execute(checked(json.loads(line), COMMANDS)))
        except ScenarioError as error:
            say({"unsupported": str(error)})
        except VmgexitError as error:
            say({"panic": str(error)})


if __name__ == "__main__":
    main()
