//! Who is at work, as /proc shows it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The program that stands for one job of a child; a link to `sleep`, so that it has a name of its own.
pub const SPINNER: &str = "kbt-spin";

/// A process that was started in the room of a round.
#[derive(Debug, Clone)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    /// In clock ticks since boot: with the pid, one process and no later one of the same number.
    pub start: u64,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// Its words, each with a zero byte behind it.
    pub words: String,
}

impl Process {
    /// Whether it is a recipe of this make that works on several threads, as many as there are tokens. Its keeper is a
    /// fork, so it has the same words, but another parent.
    pub fn is_parallel(&self, make: i32) -> bool {
        self.parent == make && (self.runs(&["dtbo", "pack"]) || self.runs(&["depmod"]))
    }

    /// Whether its words begin with these, after the program's own.
    fn runs(&self, words: &[&str]) -> bool {
        let own: Vec<&str> = self.words.split('\0').skip(1).take(words.len()).collect();
        own == words
    }
}

/// The processes that name `room` in their words. Who has ended and waits to be reaped has no words.
pub fn of_room(room: &Path) -> Vec<Process> {
    let room = room.to_str().unwrap();
    let numbers =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.filter_map(|pid| process(pid, room)).collect()
}

fn process(pid: i32, room: &str) -> Option<Process> {
    let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words = String::from_utf8_lossy(&words).into_owned();
    if !words.contains(room) {
        return None;
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // `PID (NAME) STATE PARENT ...`; the name may hold blanks and parentheses (proc_pid_stat(5)).
    let (head, tail) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    Some(Process {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
        name: head.split_once('(')?.1.to_owned(),
        words,
    })
}

/// What was at work in one look. A look takes time; what two looks share was at work between them, all at once.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// Jobs that end before their token goes back.
    jobs: BTreeSet<(i32, u64)>,
    /// Workers of kbt, which give their token back shortly before they end.
    workers: BTreeSet<(i32, String)>,
}

impl Look {
    pub fn at(processes: &[Process], make: i32) -> Self {
        let mut look = Self::default();
        for process in processes {
            let is_parallel = process.is_parallel(make);
            if process.name == SPINNER || is_parallel {
                look.jobs.insert((process.pid, process.start));
            }
            if is_parallel {
                look.workers.extend(workers(process.pid));
            }
        }
        look
    }

    /// How many jobs, and how many workers, were at work in both looks.
    pub fn shared(&self, other: &Self) -> (usize, usize) {
        (self.jobs.intersection(&other.jobs).count(), self.workers.intersection(&other.workers).count())
    }
}

fn workers(pid: i32) -> Vec<(i32, String)> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let names = threads.filter_map(|thread| {
        let thread = thread.ok()?;
        let name = fs::read_to_string(thread.path().join("comm")).ok()?;
        (name.trim_end() == "kbt-worker").then(|| (pid, thread.file_name().to_string_lossy().into_owned()))
    });
    names.collect()
}
