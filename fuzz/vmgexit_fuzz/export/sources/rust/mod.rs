//! Tests that drive an adapter: each command of a scenario is written, and its answer is compared.
//!
//! The environment variable VMGEXIT_PEER is the adapter's command, as a shell reads it. What an adapter does
//! not support ends a test without a verdict, which it says. Each test has a process of its own.

#[allow(dead_code)]
mod json;

use json::Json;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{channel, Receiver};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// Carry a scenario out: commands, each with the answer expected. Panics at the first that differs.
pub fn check(steps: &[(&str, &str)]) {
    let mut peer = Peer::start();
    for (step, (command, expected)) in steps.iter().enumerate() {
        let line = peer.answer(command);
        let whole = |text| format!("step {step}, {command}: {text}");
        let shown = String::from_utf8_lossy(&line);
        let found = Json::read(&line)
            .unwrap_or_else(|| panic!("{}", whole(format!("{shown} found, a JSON object expected"))));
        let expected = Json::read(expected.as_bytes()).expect("the export has JSON");
        match compare(found, expected) {
            Ok(true) => {}
            Ok(false) => return,
            Err(Verdict::Unsupported) => {
                eprintln!("{}", whole("not supported".to_string()));
                return;
            }
            Err(Verdict::Differs(how)) => panic!("{}", whole(how)),
        }
    }
}

enum Verdict {
    Unsupported,
    Differs(String),
}

/// Whether the scenario goes on after this answer.
fn compare(found: Json, expected: Json) -> Result<bool, Verdict> {
    let has = |answer: Json, key: &str| answer.member(key.as_bytes()).is_some();
    let is_terminated = has(found, "terminated");
    if has(expected, "panic") && (is_terminated || has(found, "panic")) {
        return Ok(false);
    }
    if has(expected, "terminated") && is_terminated {
        return Ok(false);
    }
    let in_part = has(found, "unsupported");
    if in_part && found.members().map_or(0, Iterator::count) == 1 {
        return Err(Verdict::Unsupported);
    }
    same("", found, expected, in_part).map(|()| true).map_err(Verdict::Differs)
}

/// An error says where a value is another one than expected, and how.
fn same(path: &str, found: Json, expected: Json, in_part: bool) -> Result<(), String> {
    if let (Some(given), Some(wanted)) = (found.members(), expected.members()) {
        for (key, value) in wanted {
            let inside = place(path, &String::from_utf8_lossy(key));
            match found.member(key) {
                Some(held) => same(&inside, held, value, in_part)?,
                None if in_part => {}
                None => return Err(format!("{inside}: nothing found, {} expected", shown(value))),
            }
        }
        for (key, value) in given {
            let is_told = expected.member(key).is_some() || key == b"hits" || key == b"unsupported";
            if !is_told {
                let inside = place(path, &String::from_utf8_lossy(key));
                return Err(format!("{inside}: {} found, nothing expected", shown(value)));
            }
        }
        return Ok(());
    }
    if let (Some(given), Some(wanted)) = (found.items(), expected.items()) {
        if given.count() == wanted.count() {
            return given.zip(wanted).enumerate().try_for_each(|(number, (held, value))| {
                same(&place(path, &number.to_string()), held, value, in_part)
            });
        }
    }
    match shown(found) == shown(expected) {
        true => Ok(()),
        false => Err(format!("{path}: {} found, {} expected", shown(found), shown(expected))),
    }
}

fn place(path: &str, key: &str) -> String {
    match path {
        "" => key.to_string(),
        _ => format!("{path}.{key}"),
    }
}

fn shown(value: Json) -> String {
    if let Some(number) = value.number() {
        return number.to_string();
    }
    if let Some(flag) = value.flag() {
        return flag.to_string();
    }
    if let Some(text) = value.text() {
        return format!("{:?}", String::from_utf8_lossy(text));
    }
    match (value.items(), value.members()) {
        (Some(items), _) => format!("a list of {}", items.count()),
        (_, Some(members)) => format!("an object of {}", members.count()),
        _ => "null".to_string(),
    }
}

/// The adapter's process, and the lines that it writes.
struct Peer {
    child: Child,
    commands: ChildStdin,
    answers: Receiver<Vec<u8>>,
}

impl Peer {
    fn start() -> Self {
        assert!(std::env::var_os("VMGEXIT_PEER").is_some(), "VMGEXIT_PEER is to be the command of an adapter");
        let mut child = Command::new("/bin/sh")
            .args(["-c", "eval \"exec $VMGEXIT_PEER\""])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let (commands, output) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let (told, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                if told.send(line).is_err() {
                    return;
                }
            }
        });
        let peer = Peer { child, commands, answers };
        peer.line("the hello"); // says who answers, which no test needs
        peer
    }

    fn answer(&mut self, command: &str) -> Vec<u8> {
        // An adapter that has ended may have answered before.
        let _ = writeln!(self.commands, "{command}").and_then(|()| self.commands.flush());
        self.line(command)
    }

    fn line(&self, what: &str) -> Vec<u8> {
        self.answers.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{what}: no answer"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
