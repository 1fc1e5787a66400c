"""Literal offsets of SVSM protocols after number 4: observability, reboot, memory map."""

from .rows import ladder

OMP = "COCONUT-SVSM kernel/src/protocols/omp/source.rs (2026), compile-time asserts"
DRAFT = "joergroedel/svsm-specs 27a9fa6, source entry layout"
OCP = "COCONUT-SVSM refs/pull/1138 6115f15c protocols/ocp/details.rs, compile-time asserts"
REBOOT = "COCONUT-SVSM refs/pull/808 33c8c222 protocols/reboot.rs"
MEMMAP = "COCONUT-SVSM refs/pull/760 3d1b0eba protocols/memmap.rs"

LADDERS = [
    ladder("omp-flags", DRAFT, "0 1 writable"),
    ladder(
        "omp-entry",
        OMP,
        "0x00 4 flags\n 0x04 2 kind\n 0x06 2 reserved_0x006\n 0x08 120 name",
    ),
    ladder("omp-entry", DRAFT, "0x00 4 flags\n 0x04 124 name", revision="2026-04-14"),
    ladder(
        "omp-entry",
        OCP,
        """
        0x00 4   sup_index
        0x04 4   sub_index
        0x08 4   kind
        0x0C 4   flags
        0x10 112 name
        """,
        revision="2026-08-18",
    ),
    ladder(
        "omp-object",
        OCP,
        "0x00 4 sup_index\n 0x04 4 category\n 0x08 4 count",
        revision="2026-08-18",
    ),
    ladder("omp-indexes", OCP, "0 32 secondary\n 32 32 primary", revision="2026-08-18"),
    ladder("omp-name", OMP, "0 120 name"),
    ladder("omp-identifier", OMP, "0 240 name"),
    ladder("reboot-manifest", REBOOT, "0 4 version\n 4 4 flags"),
    ladder("memory-map-type", MEMMAP, "0 64 type"),
]
