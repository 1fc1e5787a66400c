//! The words in the GHCB MSR that the small host answers.

use crate::kit::layouts::{
    GhcbInfoCode, GhcbMsr, GhcbMsrPageStateRequest, GhcbMsrPageStateResponse, GhcbMsrRegisterGpaRequest,
    GhcbMsrRegisterGpaResponse, GhcbMsrSevInfoResponse, PageOperationCode,
};
use crate::kit::vm::{Run, Vm, PAGE, PRIVATE};

const FAILED: u64 = 0x8000_0000; // KVM's general failure

pub fn knows(vm: &Vm, word: u64) -> bool {
    match GhcbInfoCode(GhcbMsr(word).info()) {
        GhcbInfoCode::SEV_INFO_REQUEST | GhcbInfoCode::TERMINATION_REQUEST => true,
        GhcbInfoCode::REGISTER_GPA_REQUEST | GhcbInfoCode::PAGE_STATE_REQUEST => vm.setup.snp,
        _ => false,
    }
}

pub fn answer(vm: &mut Vm, cpu: usize, word: &mut u64) -> Run {
    match GhcbInfoCode(GhcbMsr(*word).info()) {
        GhcbInfoCode::TERMINATION_REQUEST => return Run::Terminate(*word),
        GhcbInfoCode::REGISTER_GPA_REQUEST => {
            let frame = GhcbMsrRegisterGpaRequest(*word).frame();
            let is_there = vm.is_memory(frame * PAGE as u64, PAGE);
            if is_there {
                vm.vcpus[cpu].registered = frame * PAGE as u64;
            }
            let told = if is_there { frame } else { u64::MAX }; // all ones: refused
            let code = GhcbInfoCode::REGISTER_GPA_RESPONSE.0;
            *word = GhcbMsrRegisterGpaResponse(code).with_frame(told).0;
        }
        GhcbInfoCode::PAGE_STATE_REQUEST => {
            let error = if page_state(vm, GhcbMsrPageStateRequest(*word)) { 0 } else { FAILED };
            let code = GhcbInfoCode::PAGE_STATE_RESPONSE.0;
            *word = GhcbMsrPageStateResponse(code).with_error(error).0;
        }
        _ => {
            let answer = GhcbMsrSevInfoResponse(GhcbInfoCode::SEV_INFO_RESPONSE.0);
            let answer = answer.with_c_bit(vm.setup.c_bit).with_min_version(1);
            *word = answer.with_max_version(vm.setup.ghcb_version).0;
        }
    }
    Run::Guest
}

/// Make a page private or shared.
fn page_state(vm: &mut Vm, asked: GhcbMsrPageStateRequest) -> bool {
    let attributes = match PageOperationCode(asked.operation()) {
        PageOperationCode::PRIVATE => PRIVATE,
        PageOperationCode::SHARED => 0,
        _ => return false,
    };
    vm.setup.map_exit && vm.ask_map(asked.frame() * PAGE as u64, 1, attributes)
}
