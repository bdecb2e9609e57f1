//! A process of one thread forks. The tests of a harness run on threads, so this is a program without one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed set-up is a failed test")]

use std::io::{self, Read as _, Write as _};

use kbt_fork::{Mask, Signals, fork, wait_for_ended_threads};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, waitid};

fn main() {
    exits_as_the_closure_says();
    both_go_on_with_the_same_memory();
    a_panic_ends_the_child_only();
    signals_are_blocked_or_at_their_default();
    a_mask_is_set_and_goes_back();
    several_threads_are_refused();
    threads_that_have_just_ended_are_waited_for();
    println!("all of fork's tests passed");
}

fn end(child: Pid) -> WaitIdStatus {
    waitid(WaitId::Pid(child), WaitIdOptions::EXITED).unwrap().unwrap()
}

fn exits_as_the_closure_says() {
    for code in [0, 1, 77, 255] {
        let child = fork(Signals::Default(Mask::of(&[])), || code).unwrap();
        assert_eq!(end(child).exit_status(), Some(code.into()));
    }
}

fn both_go_on_with_the_same_memory() {
    let (mut reader, mut writer) = io::pipe().unwrap();
    let mut text = vec![b'a'; 100_000];
    let child = fork(Signals::Blocked, || {
        text.push(b'b');
        let sum = text.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        u8::from(writer.write_all(&sum.to_le_bytes()).is_err())
    });
    let mut sum = [0; 8];
    reader.read_exact(&mut sum).unwrap();
    assert_eq!(u64::from_le_bytes(sum), 97 * 100_000 + 98);
    assert_eq!(text.len(), 100_000);
    assert_eq!(end(child.unwrap()).exit_status(), Some(0));
}

fn a_panic_ends_the_child_only() {
    std::panic::set_hook(Box::new(|_| {}));
    let child = fork(Signals::Default(Mask::of(&[])), || panic!("in the child")).unwrap();
    let _ = std::panic::take_hook();
    assert_eq!(end(child).exit_status(), Some(101));
}

/// Whether a child with these signals is ended by SIGTERM.
fn ends_by_term(signals: Signals) -> bool {
    let (mut reader, writer) = io::pipe().unwrap();
    let child = fork(signals, || {
        drop(writer);
        std::thread::sleep(std::time::Duration::from_millis(300));
        0
    })
    .unwrap();
    // The child has closed its end, so it has passed what `fork` does.
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    kill_process(child, Signal::TERM).unwrap();
    end(child).terminating_signal() == Some(Signal::TERM.as_raw())
}

fn signals_are_blocked_or_at_their_default() {
    assert!(ends_by_term(Signals::Default(Mask::of(&[]))));
    assert!(!ends_by_term(Signals::Blocked));
    // std catches SIGSEGV, to tell a stack that is full.
    assert_ne!(caught(), 0);
    let child = fork(Signals::Default(Mask::of(&[])), || u8::from(caught() != 0)).unwrap();
    assert_eq!(end(child).exit_status(), Some(0), "no handler of the parent's is left");
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let blocked = status.lines().find(|line| line.starts_with("SigBlk:")).unwrap();
    assert!(blocked.ends_with("0000000000000000"), "the parent's mask is what it was: {blocked}");
}

fn a_mask_is_set_and_goes_back() {
    let (term, child) = (Signal::TERM.as_raw(), Signal::CHILD.as_raw());
    let before = Mask::of(&[term, child]).block().unwrap();
    assert!(!before.has(term));
    let both = Mask::of(&[child]).unblock().unwrap();
    assert!(both.has(term) && both.has(child));
    assert_eq!(format!("{:?}", before.set().unwrap()), "{15}");
    assert_eq!(format!("{:?}", before.set().unwrap()), "{}");
    assert!(Mask::all().has(term) && !Mask::all().has(0) && !Mask::of(&[0, 1000]).has(1000));
    let child = fork(Signals::Default(Mask::of(&[term])), || u8::from(!before.set().unwrap().has(term)));
    assert_eq!(end(child.unwrap()).exit_status(), Some(0), "a child has the mask that it was given");
}

/// The signals that this process has handlers for, as a mask.
fn caught() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap()
}

fn several_threads_are_refused() {
    let (reader, writer) = io::pipe().unwrap();
    let thread = std::thread::spawn(move || {
        let mut reader = reader;
        let _ = reader.read(&mut [0]);
    });
    let refused = fork(Signals::Default(Mask::of(&[])), || 0).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
    drop(writer);
    thread.join().unwrap();
    wait_for_ended_threads();
    assert!(fork(Signals::Default(Mask::of(&[])), || 0).is_ok(), "one thread again");
}

/// The end of a scope waits for the closures of its threads, not for the threads.
fn threads_that_have_just_ended_are_waited_for() {
    let mut refused = 0;
    for _ in 0..1000 {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| std::hint::black_box(0));
            }
        });
        wait_for_ended_threads();
        match fork(Signals::Default(Mask::of(&[])), || 0) {
            Ok(child) => {
                end(child);
            }
            Err(_) => refused += 1,
        }
    }
    assert_eq!(refused, 0, "times of 1000");
}
