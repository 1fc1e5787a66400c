"""The adapter of your SVSM.

Replace svsm.py, calls.py and attestation.py by your SVSM, or by calls into it: its class says which
functions answer which commands.
"""

from calls import WholeSvsm
from kit.on_memory import answer_on_memory

if __name__ == "__main__":
    answer_on_memory(WholeSvsm())
