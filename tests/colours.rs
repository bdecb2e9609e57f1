//! Colours: on a terminal, and nowhere else.

#![allow(clippy::unwrap_used, reason = "a failed set-up is a failed test")]

mod dto_room;
mod terminal;

use std::io::Read as _;
use std::process::Command;

use dto_room::{Room, one};
use kbt_testkit::{Node, Target};

/// A room with two trees that differ, and an overlay that a lint has something to say of.
fn room() -> Room {
    let base = |status: &str| {
        let soc = Node::new("soc").text("status", status).phandle(1);
        Node::new("").child(soc).child(Node::new("__symbols__").text("soc", "/soc"))
    };
    let room = Room::with(base("okay"), [one(Target::path("/"), Node::new("").flag("x"))]);
    room.put("other", base("disabled"));
    room
}

/// What a person sees of a command whose standard output and error are a terminal.
fn seen(room: &Room, words: &str, environment: &[(&str, &str)]) -> String {
    let (mut ours, theirs) = terminal::open();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
    command.args(words.split(' ')).current_dir(room.path("")).env_clear().env("TERM", "xterm");
    command.envs(environment.iter().copied());
    command.stdout(theirs.try_clone().unwrap()).stderr(theirs);
    let mut child = command.spawn().unwrap();
    // The terminal's far end is this process's, too, as long as the command lives that holds it.
    drop(command);
    let mut bytes = Vec::new();
    let _ = ours.read_to_end(&mut bytes);
    child.wait().unwrap();
    String::from_utf8(bytes).unwrap().replace('\r', "")
}

const RED: &str = "\u{1b}[31m";
const GREEN: &str = "\u{1b}[32m";

#[test]
fn a_diff_is_red_and_green() {
    let room = room();
    let text = seen(&room, "dto diff base other", &[]);
    assert!(text.contains(&format!("{RED}-status = \"okay\";\u{1b}[0m\n")), "{text:?}");
    assert!(text.contains(&format!("{GREEN}+status = \"disabled\";\u{1b}[0m\n")), "{text:?}");
    assert!(text.contains("\u{1b}[36m@@ /soc &soc @@"), "{text:?}");
    assert!(text.starts_with("\u{1b}[1m--- base"), "{text:?}");
}

#[test]
fn messages_and_findings_have_colours() {
    let room = room();
    let text = seen(&room, "dto lint base a", &[]);
    assert!(text.contains("\u{1b}[1m\u{1b}[33mwarning[root-target]:\u{1b}[0m"), "{text:?}");
    let text = seen(&room, "dto show nothing", &[]);
    assert!(text.starts_with("kbt: \u{1b}[1m\u{1b}[31merror:\u{1b}[0m nothing: "), "{text:?}");
}

#[test]
fn whoever_wants_none_gets_none() {
    let room = room();
    for words in ["dto diff base other", "dto lint base a", "dto show nothing"] {
        for environment in [("NO_COLOR", "1"), ("TERM", "dumb"), ("CLICOLOR", "0")] {
            let text = seen(&room, words, &[environment]);
            assert!(!text.is_empty() && !text.contains('\u{1b}'), "{environment:?}: {text:?}");
        }
        let output = room.run(words);
        let text = [output.stdout, output.stderr].concat();
        assert!(!text.is_empty() && !text.contains(&0x1b), "{words}");
    }
}
