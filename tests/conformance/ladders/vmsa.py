"""The parts of the VMSA that interrupt delivery uses, written by hand from the sources."""

from .rows import Ladder

VMSA = "COCONUT-SVSM f4bc4bcd cpuarch/src/vmsa.rs"

LADDERS = {
    ("vintr-ctrl", ""): Ladder(
        f"{VMSA}, VIntrCtrl",
        8,
        [
            ("v_tpr", "7:0"),
            ("v_irq", "8"),
            ("vgif", "9"),
            ("int_shadow", "10"),
            ("v_nmi", "11"),
            ("v_nmi_mask", "12"),
            ("reserved_15_13", "15:13"),
            ("v_intr_prio", "19:16"),
            ("v_ign_tpr", "20"),
            ("reserved_25_21", "25:21"),
            ("v_nmi_enable", "26"),
            ("reserved_31_27", "31:27"),
            ("v_intr_vector", "39:32"),
            ("reserved_62_40", "62:40"),
            ("busy", "63"),
        ],
    ),
    ("event-inj", ""): Ladder(
        f"{VMSA}, VmsaEventInject",
        8,
        [
            ("vector", "7:0"),
            ("type", "10:8"),
            ("error_code_valid", "11"),
            ("reserved_30_12", "30:12"),
            ("valid", "31"),
            ("error_code", "63:32"),
        ],
    ),
}
