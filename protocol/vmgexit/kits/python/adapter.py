"""The adapter: it reads commands, does what host and guest do, and asks the SVSM for the rest."""

from __future__ import annotations

from .layouts import EventInj, EventTypeCode, VintrCtrl, get, put
from .lines import Answer, Command, panic_by, read_lines, say, say_hello
from .reading import Wrong, read_command
from .vm import Guest, Stop, Vcpu, Vm


class Registers:
    """The registers of a call: what the guest gives, and what it gets back."""

    def __init__(self, command: Command) -> None:
        self.protocol, self.request = command["protocol"], command["request"]
        self.rcx, self.rdx, self.r8 = command["rcx"], command["rdx"], command["r8"]
        self.rax = 0


class Svsm:
    """The calls into an SVSM. Yours is a subclass; what it does not have, `supports` says."""

    name = "an SVSM"
    profile = "reference"
    stays = False  # the process goes on after a stop: `init` leaves nothing of what was before

    def init(self, vm: Vm) -> None:
        """A fresh SVSM for this VM."""
        raise NotImplementedError

    def supports(self, command: Command) -> bool:
        """Whether it has what the command needs. If not, the command changes nothing."""
        return True

    def call(self, cpu: Vcpu, registers: Registers) -> None:
        """The guest calls. If NoFurtherSignal is set, the #HV handler runs first."""
        raise NotImplementedError

    def enter(self, cpu: Vcpu) -> None:
        """From the #HV handler to VMGEXIT: take interrupts, present them, `vm.window`."""

    def left(self, cpu: Vcpu) -> None:
        """The guest left for the host's own reasons: the #HV handler, and what EXITINTINFO holds."""

    def new_vmsa(self, cpu: Vcpu) -> None:
        """The guest got a new VMSA, which is in place; its calling area is still the old one."""

    def apic(self, cpu: Vcpu) -> Answer | None:
        """What `state` says of a local APIC, from `apic` to `ipi_nmi`, with `flags`; if it can be told."""
        return None

    def reg_count(self) -> int | None:
        """Registrations for Alternate Injection that stand."""
        return None


def answer_commands(svsm: Svsm) -> None:
    """Say hello, and answer every line until standard input ends, or an SVSM that does not stay stops."""
    serve(Adapter(svsm))


def serve(adapter: Adapter) -> None:
    """The same, with an adapter that may know more commands."""
    svsm = adapter.svsm
    say_hello(svsm.name, svsm.profile, {"stays": True} if svsm.stays else {})
    for line in read_lines():
        try:
            say(adapter.answer(line))
        except Stop as stop:
            adapter.stopped = {stop.kind: str(stop)}
        except Exception as error:
            adapter.stopped = panic_by(error)
        else:
            continue
        say(adapter.stopped)
        if not svsm.stays:
            return


class Adapter:
    """What answers lines, one by one."""

    def __init__(self, svsm: Svsm) -> None:
        self.svsm, self.vm = svsm, Vm([], 0)
        self.stopped: Answer | None = None  # what answers until the next `init`

    def answer(self, line: bytes) -> Answer:
        try:
            return self.answer_to(self.read(line))
        except Wrong as wrong:
            return {"unsupported": str(wrong)}

    def read(self, line: bytes) -> Command:
        """The command that a line is. Raises Wrong."""
        return read_command(line)

    def answer_to(self, command: Command) -> Answer:
        operation = command["op"]
        if not self.supports(command):
            return {"unsupported": operation}
        if operation == "init":
            self.stopped = None
        elif self.stopped is not None:
            return self.stopped
        made = len(self.vm.requests)
        answer = self.carry_out(command)
        if operation != "init" and len(self.vm.requests) > made:
            answer["calls"] = self.vm.requests[made:]
        return answer

    def supports(self, command: Command) -> bool:
        """Whether the command is possible, and the SVSM has what it needs."""
        operation = command["op"]
        if operation == "init":
            is_possible = has_ids(command)
        else:
            is_possible = command["cpu"] < len(self.vm.vcpus) and hasattr(self, f"_{operation}")
        return is_possible and self.svsm.supports(command)

    def carry_out(self, command: Command) -> Answer:
        answer: Answer = getattr(self, f"_{command['op']}")(command)
        return answer

    def _taken_up(self, command: Command) -> Vcpu:
        cpu = self.vm.vcpus[command["cpu"]]
        self.take_up(cpu)
        return cpu

    def take_up(self, cpu: Vcpu) -> None:
        """A new VMSA and a moved calling area are used from here on."""
        if cpu.new_guest is not None:
            cpu.new_guest.alternate_injection = cpu.guest.alternate_injection
            cpu.guest, cpu.new_guest = cpu.new_guest, None
            cpu.new_calling_address = cpu.calling_address
            self.svsm.new_vmsa(cpu)
        if cpu.new_calling_address is not None:
            cpu.calling_address, cpu.new_calling_address = cpu.new_calling_address, None
            cpu.no_eoi_required = 0

    def _init(self, command: Command) -> Answer:
        self.vm = Vm(command["apic_ids"] or list(range(command["cpus"])), command["reg_count"])
        self.svsm.init(self.vm)
        return {"ok": True, "cpus": command["cpus"], "reg_count": command["reg_count"]}

    def _call(self, command: Command) -> Answer:
        cpu, registers = self._taken_up(command), Registers(command)
        cpu.guest.exit_int_info = 0
        cpu.guest.vintr = put(cpu.guest.vintr, VintrCtrl.BUSY, 0)
        self.svsm.call(cpu, registers)
        return {name: getattr(registers, name) for name in ("rax", "rcx", "rdx", "r8")}

    def _enter(self, command: Command) -> Answer:
        cpu = self._taken_up(command)
        self.vm.late, self.vm.cancelled = command["late"] or [], 0
        self.svsm.enter(cpu)
        self.vm.window(cpu)  # where the SVSM opened none, it comes too late to cancel anything
        cpu.guest.exit_int_info = 0
        apic = self.svsm.apic(cpu)
        told = {"unsupported": "flags"} if apic is None else {"flags": apic["flags"]}
        return {**_vmrun(cpu), **told, "cancelled": self.vm.cancelled}

    def _intercept(self, command: Command) -> Answer:
        cpu = self._taken_up(command)
        cpu.guest.exit_int_info = command["exitintinfo"]
        cpu.guest.vintr = put(cpu.guest.vintr, VintrCtrl.BUSY, command["busy"])
        self.svsm.left(cpu)
        return _vmrun(cpu)

    def _host_irq(self, command: Command) -> Answer:
        cpu = self.vm.vcpus[command["cpu"]]
        posted, signals = cpu.post(command["vector"], command["level"])
        return {"posted": posted, "hv": signals, "status": cpu.doorbell.status}

    def _guest_take(self, command: Command) -> Answer:
        guest = self.vm.vcpus[command["cpu"]].guest
        taken, vector = guest.take()
        if taken != "none" and command["gate"]:
            guest.interrupts_enabled = False
        return {"taken": taken, "vector": vector}

    def _guest(self, command: Command) -> Answer:
        guest = self.vm.vcpus[command["cpu"]].guest
        guest.interrupts_enabled = command["if"]
        guest.vintr = put(guest.vintr, VintrCtrl.INT_SHADOW, command["shadow"])
        if command["cr8"] is not None:
            guest.vintr = put(guest.vintr, VintrCtrl.V_TPR, command["cr8"])
        return {"ok": True}

    def _guest_lazy_eoi(self, command: Command) -> Answer:
        cpu = self.vm.vcpus[command["cpu"]]
        was, cpu.no_eoi_required = cpu.no_eoi_required, 0
        return {"was": was}

    def _set_vmsa(self, command: Command) -> Answer:
        given = {
            name: command[name] for name in ("event_inj", "vintr") if command[name] is not None
        }
        self.vm.vcpus[command["cpu"]].new_guest = Guest(**given)
        return {"ok": True}

    def _doorbell(self, command: Command) -> Answer:
        return {"hex": self.vm.vcpus[command["cpu"]].doorbell.hex()}

    def _set_doorbell(self, command: Command) -> Answer:
        self.vm.vcpus[command["cpu"]].doorbell[:] = bytes.fromhex(command["hex"])
        return {"ok": True}

    def _host_refuse(self, command: Command) -> Answer:
        self.vm.vcpus[command["cpu"]].refusing[command["call"]] += 1
        return {"ok": True}

    def _state(self, command: Command) -> Answer:
        cpu = self.vm.vcpus[command["cpu"]]
        apic, count = self.svsm.apic(cpu), self.svsm.reg_count()
        return {
            **({"unsupported": "state"} if apic is None or count is None else {}),
            **(apic or {}),
            **_vmrun(cpu),
            "if": cpu.guest.interrupts_enabled,
            "shadow": bool(get(cpu.guest.vintr, VintrCtrl.INT_SHADOW)),
            **({} if count is None else {"reg_count": count}),
            "alt_inj": cpu.guest.alternate_injection,
            "history": self.vm.requests,
        }


def has_ids(command: Command) -> bool:
    """Whether the APIC ids, if there are any, are one for each vCPU, and all different."""
    ids = command["apic_ids"] or []
    return not ids or len(ids) == len(set(ids)) == command["cpus"]


def _vmrun(cpu: Vcpu) -> Answer:
    """What VMRUN sees."""
    event, vintr = cpu.guest.event_inj, cpu.guest.vintr
    is_valid, kind = bool(get(event, EventInj.VALID)), get(event, EventInj.TYPE)
    return {
        "event_inj": event,
        "event_valid": is_valid,
        "event_type": kind,
        "event_vector": get(event, EventInj.VECTOR),
        "nmi": is_valid and kind == EventTypeCode.NMI,
        "v_irq": bool(get(vintr, VintrCtrl.V_IRQ)),
        "v_intr_vector": get(vintr, VintrCtrl.V_INTR_VECTOR),
        "v_intr_prio": get(vintr, VintrCtrl.V_INTR_PRIO),
        "v_ign_tpr": bool(get(vintr, VintrCtrl.V_IGN_TPR)),
        "v_tpr": get(vintr, VintrCtrl.V_TPR),
        "no_eoi_required": cpu.no_eoi_required,
    }
