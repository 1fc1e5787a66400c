"""The table of forms: every line that is known, one file for each kind of program that prints."""

from ..form import Form
from .firmware import FIRMWARE
from .guest import GUEST
from .host import HOST
from .kvm import KVM
from .kvm_dumps import KVM_DUMPS
from .svsm import SVSM
from .tools import TOOLS
from .vmm import VMM

FORMS: tuple[Form, ...] = (*KVM, *KVM_DUMPS, *HOST, *VMM, *GUEST, *TOOLS, *SVSM, *FIRMWARE)
