"""What PyInstaller cannot see: targets, mutators and chapters are imported by name, probes need sources."""

from PyInstaller.utils.hooks import collect_submodules

IMPORTED_BY_NAME = (
    "vmgexit.wire",
    "vmgexit_fuzz.inputs",
    "vmgexit_fuzz.targets",
)

hiddenimports = [name for package in IMPORTED_BY_NAME for name in collect_submodules(package)]
module_collection_mode = {"vmgexit": "py", "vmgexit_fuzz": "py"}
