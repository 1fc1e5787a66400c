"""Names: those of `vmgexit`, and those of structures on the command line."""

import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from vmgexit import DoorbellPage, UsageError
from vmgexit.schema import Structure, Whole, walk
from vmgexit.wire import registry

PACKAGE = import_module("vmgexit")
WIRE = Path(registry.__file__).parent


def loaded_by(program: str) -> set[str]:
    """The chapters that a fresh Python imports for `program`."""
    program += "; import sys; print(*(m for m in sys.modules if m.startswith('vmgexit.wire.')))"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return {name.removeprefix("vmgexit.wire.") for name in run.stdout.split()} - {"registry"}


def every_structure(base: type[Structure] = Structure) -> Iterator[type[Structure]]:
    """What Python itself knows to be a declared structure of a chapter."""
    for cls in base.__subclasses__():
        if issubclass(base, Whole) and base is not Whole:
            return  # the shapes of a structure of any length
        yield from every_structure(cls)
        if (
            "declaration" in vars(cls)
            and Path(sys.modules[cls.__module__].__file__ or "").parent == WIRE
        ):
            yield cls


def test_the_table_of_chapters_is_complete() -> None:
    for chapter, names in registry.CHAPTERS.items():
        assert sorted(registry.declared(chapter)) == sorted(names), chapter
    found = {cls for revisions in registry.structures().values() for cls in revisions.values()}
    assert found == set(every_structure())


def test_every_file_that_declares_a_structure_is_a_chapter() -> None:
    declaring = [path.stem for path in WIRE.glob("*.py") if "@structure(" in path.read_text()]
    assert sorted(declaring) == sorted(registry.CHAPTERS)


def test_a_name_imports_its_chapter_alone() -> None:
    found = loaded_by("from vmgexit.wire.registry import find; find('rmp-entry')")
    assert found == {"rmp"}
    assert loaded_by("import vmgexit") == set()
    assert loaded_by("from vmgexit import RmpEntry") == {"rmp"}


def test_revisions_are_found_by_either_spelling() -> None:
    assert registry.find("doorbell-page") is DoorbellPage
    old = registry.find("doorbell-page@2024-04-30")
    assert old.declaration.revision == "2024-04-30"
    assert registry.find("doorbell-page", "2024-04-30") is old
    assert registry.find("pending-events").declaration.revision == "2023-rfc"


@pytest.mark.parametrize(
    ("name", "revision", "message"),
    [
        ("doorbel-page", None, "unknown structure doorbel-page; nearest: doorbell-page, "),
        ("vmsa", "2020", "vmsa has no revision 2020; there are the current one"),
        ("pending-events@x", None, "pending-events has no revision x; there are 2023-rfc"),
    ],
)
def test_a_wrong_name_is_told_with_what_there_is(
    name: str, revision: str | None, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        registry.find(name, revision)
    assert str(caught.value).startswith(message)


def test_every_public_name_is_the_one_of_its_module() -> None:
    assert {"DoorbellPage", "GhcbMsr", "VmgexitError", "find_exit"} <= set(PACKAGE.__all__)
    assert set(PACKAGE.__all__) <= set(dir(PACKAGE))
    for name in PACKAGE.__all__:
        found = getattr(PACKAGE, name)
        assert found.__name__ == name
        assert getattr(sys.modules[found.__module__], name) is found


@pytest.mark.parametrize("name", ["Doorbell", "DoorbellPage1999", "wire_format"])
def test_a_name_that_is_not_public_is_an_attribute_error(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'vmgexit' has no attribute '{name}'"):
        getattr(PACKAGE, name)


def test_every_structure_is_public_with_what_its_fields_hold() -> None:
    held = {
        each
        for revisions in registry.structures().values()
        for cls in revisions.values()
        for place in walk(cls)
        for each in (cls, place.field.of, place.field.enum)
        if each is not None
    }
    assert {each.__name__ for each in held} <= set(PACKAGE.__all__)
    assert all(getattr(PACKAGE, each.__name__) is each for each in held)


@pytest.mark.parametrize(
    ("spelt", "name"),
    [
        ("ExtIntStatus", "ext-int-status"),
        ("EXT_INT_STATUS", "ext-int-status"),
        ("extintstatus", "ext-int-status"),
        ("ext int status", "ext-int-status"),
        ("SNP_RUN_VMPL", "run-vmpl"),
        ("SVM_VMGEXIT_SNP_RUN_VMPL", "run-vmpl"),
        ("GhcbPage", "ghcb"),
        ("struct psc-header", "psc-header"),
        ("TerminationRequest", "ghcb-msr-termination-request"),
        ("SEV_FEATURES", "sev-features"),
    ],
)
def test_any_spelling_finds_a_structure(spelt: str, name: str) -> None:
    assert registry.find(spelt) is registry.find(name)


def test_a_spelling_with_a_revision() -> None:
    assert registry.find("DoorbellHead@2024-05-16") is registry.find("doorbell-head", "2024-05-16")


@pytest.mark.parametrize(
    ("name", "near"),
    [("doorbel_page", "doorbell-page"), ("ExtIntStats", "ext-int-status"), ("vmas", "vmsa")],
)
def test_names_that_are_alike_are_told(name: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"unknown structure {name}; nearest: {near}"):
        registry.find(name)
