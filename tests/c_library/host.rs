//! The host in `host.c`, asked over pipes.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::{compile, library};

/// What is called.
#[derive(Debug, Clone, Copy)]
#[repr(u32)]
pub enum Call {
    UfdtApply,
    Apply,
    Count,
    Find,
    Entry,
    Load,
    Install,
}

/// What a call gave.
#[derive(Debug, Clone)]
pub struct Answer {
    pub code: u32,
    pub overlay: u32,
    pub offset: u64,
    pub text: String,
    /// Calls of `dto_malloc`.
    pub mallocs: u32,
    /// Blocks that were neither freed nor given.
    pub leaks: u32,
    pub inputs_changed: bool,
    /// Bytes held at most.
    pub peak: u64,
    pub number: u32,
    pub result: Option<Vec<u8>>,
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub struct Request<'r> {
    pub call: Call,
    /// The call of `dto_malloc` that fails, from 1; 0 for none.
    pub fail_at: u32,
    pub arguments: [u32; 4],
    pub inputs: &'r [&'r [u8]],
}

/// A running host.
pub struct Host {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
}

impl Host {
    pub fn start() -> Self {
        Self::start_under(&[])
    }

    /// Under another program, such as valgrind with its options.
    pub fn start_under(words: &[&str]) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c_library/host.c");
        let program = compile("host", [source.as_path(), library()]);
        let mut command = match words.split_first() {
            None => Command::new(&program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(&program);
                command
            }
        };
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, stdin, stdout }
    }

    /// Calls, and holds what must be so of every call: no input changed, nothing leaked, a result or a reason.
    pub fn ask(&mut self, request: &Request<'_>) -> Answer {
        let answer = self.ask_unchecked(request);
        assert!(!answer.inputs_changed, "an input was changed: {answer:?}");
        assert_eq!(answer.leaks, 0, "{}", answer.text);
        assert_eq!(answer.code == 0, answer.text.is_empty(), "{answer:?}");
        answer
    }

    pub fn ask_unchecked(&mut self, request: &Request<'_>) -> Answer {
        let mut bytes = Vec::new();
        let words = [request.call as u32, request.fail_at].into_iter().chain(request.arguments);
        let count = u32::try_from(request.inputs.len()).unwrap();
        for word in words.chain([count]) {
            bytes.extend(word.to_ne_bytes());
        }
        for input in request.inputs {
            bytes.extend(u32::try_from(input.len()).unwrap().to_ne_bytes());
            bytes.extend(*input);
        }
        self.stdin.write_all(&bytes).unwrap();
        self.stdin.flush().unwrap();
        self.answer()
    }

    pub fn apply(&mut self, base: &[u8], overlays: &[&[u8]]) -> Answer {
        let inputs: Vec<&[u8]> = std::iter::once(base).chain(overlays.iter().copied()).collect();
        self.ask(&Request { call: Call::Apply, fail_at: 0, arguments: [0; 4], inputs: &inputs })
    }

    /// The same where one call of `dto_malloc` fails.
    pub fn apply_failing(&mut self, base: &[u8], overlays: &[&[u8]], fail_at: u32) -> Answer {
        let inputs: Vec<&[u8]> = std::iter::once(base).chain(overlays.iter().copied()).collect();
        self.ask(&Request { call: Call::Apply, fail_at, arguments: [0; 4], inputs: &inputs })
    }

    fn answer(&mut self) -> Answer {
        let (code, overlay, offset) = (self.word(), self.word(), self.wide());
        let text = self.bytes(256);
        let end = text.iter().position(|&byte| byte == 0).expect("a NUL at the end of the text");
        let text = String::from_utf8(text[..end].to_vec()).unwrap();
        let (mallocs, leaks, changed) = (self.word(), self.word(), self.word());
        let (peak, number, size) = (self.wide(), self.word(), self.wide());
        let result = size.checked_sub(1).map(|size| self.bytes(usize::try_from(size).unwrap()));
        let inputs_changed = changed != 0;
        Answer { code, overlay, offset, text, mallocs, leaks, inputs_changed, peak, number, result }
    }

    fn bytes(&mut self, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        self.stdout.read_exact(&mut bytes).expect("the host died");
        bytes
    }

    fn word(&mut self) -> u32 {
        u32::from_ne_bytes(self.bytes(4).try_into().unwrap())
    }

    fn wide(&mut self) -> u64 {
        u64::from_ne_bytes(self.bytes(8).try_into().unwrap())
    }

    /// Ends it; the program around it may have found something.
    pub fn finish(self) {
        drop(self.stdin);
        let Self { mut child, .. } = self;
        let status = child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}
