//! ./adapter --bugs ppr,window: the SVSM with these bugs; with all, all ten; without, none.

mod kit;
mod svsm;

use svsm::{Local, Svsm, BUGS};

fn main() -> std::io::Result<()> {
    let mut svsm = Svsm::default();
    let mut arguments = std::env::args().skip(1);
    if let (Some("--bugs"), Some(list)) = (arguments.next().as_deref(), arguments.next()) {
        for (bug, name) in svsm.bugs.iter_mut().zip(BUGS) {
            *bug = list == "all" || list.split(',').any(|one| one == name);
        }
    }
    svsm.locals = vec![Local::default(); kit::vm::MOST_VCPUS];
    kit::process::answer_commands(&mut svsm)
}
