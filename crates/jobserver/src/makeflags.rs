//! What `MAKEFLAGS` says of the jobserver.
//!
//! make joins its options by blanks (spaces and tabs; a line's end is a byte like any other); a blank or a backslash inside a
//! word has a backslash in front. A first
//! word without a dash holds single-letter options (`"kw -j4 ..."`), and a lone `--` ends the options: what
//! stands behind it are variables of the command line, which a user may have filled with anything. Where an
//! option comes twice the last one counts.
//!
//! The bytes need not be UTF-8, since a FIFO's path need not be.

/// Names of the option: the second is what make called it before 4.2.
const AUTH: [&[u8]; 2] = [b"--jobserver-auth=", b"--jobserver-fds="];

/// What make wrote into `MAKEFLAGS`, as far as a jobserver's client wants to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MakeFlags {
    /// The last `-j`.
    pub jobs: Option<Jobs>,
    /// Where the pool is; `None` where make has none or withholds it from this recipe.
    pub auth: Option<Auth>,
}

/// The argument of `-j`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jobs {
    /// `-jN`: N at once, the implicit token's included.
    Count(u32),
    /// A bare `-j`: as many as there is work.
    Unlimited,
}

/// Where the pool is, as named; nothing is opened yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// `R,W`: two inherited descriptors of a pipe, both 0 or more.
    Pipe {
        /// The end to take tokens from.
        read: u32,
        /// The end to give them back to.
        write: u32,
    },
    /// `fifo:PATH`: the path's bytes, unescaped.
    Fifo(Vec<u8>),
    /// Something that no make is known to write; the bytes behind the `=`.
    Unknown(Vec<u8>),
}

impl MakeFlags {
    /// Reads the value of `MAKEFLAGS`. Whatever it holds, there is an answer; unknown words are skipped.
    pub fn parse(value: &[u8]) -> Self {
        let mut flags = Self::default();
        for word in options(value) {
            if let Some(auth) = AUTH.iter().find_map(|name| word.strip_prefix(*name)) {
                flags.auth = Auth::parse(auth);
            } else if let Some(jobs) = jobs(&word) {
                flags.jobs = Some(jobs);
            }
        }
        flags
    }

    /// The value for a child that is to use another pool: `value` with its jobserver and its `-j` replaced.
    /// All other options and the variables behind `--` stay byte for byte.
    pub fn with_auth(value: &[u8], auth: &Auth, jobs: u32) -> Vec<u8> {
        let (options, variables) = value.split_at(end_of_options(value));
        let mut words = raw_words(options).peekable();
        let mut made = Vec::with_capacity(value.len() + 64);
        // A first word without a dash is a group of letters, and stays the first.
        if let Some(letters) = words.next_if(|word| !unescape(word).starts_with(b"-")) {
            push_word(&mut made, letters);
        }
        made.extend_from_slice(format!(" -j{jobs} --jobserver-auth=").as_bytes());
        made.extend_from_slice(&escape(&auth.to_bytes()));
        for word in words.filter(|word| !is_about_jobs(&unescape(word))) {
            made.push(b' ');
            push_word(&mut made, word);
        }
        if !variables.is_empty() {
            made.push(b' ');
            made.extend_from_slice(variables);
        }
        made
    }
}

impl Auth {
    /// Reads what stands behind `--jobserver-auth=`; `None` where a negative descriptor says that make keeps
    /// the jobserver from this recipe.
    fn parse(value: &[u8]) -> Option<Self> {
        if let Some(path) = value.strip_prefix(b"fifo:") {
            return Some(Self::Fifo(path.to_vec()));
        }
        let numbers = std::str::from_utf8(value).ok().and_then(|text| {
            let (read, write) = text.split_once(',')?;
            Some((read.parse::<i32>().ok()?, write.parse::<i32>().ok()?))
        });
        let Some((read, write)) = numbers else { return Some(Self::Unknown(value.to_vec())) };
        match (u32::try_from(read), u32::try_from(write)) {
            (Ok(read), Ok(write)) => Some(Self::Pipe { read, write }),
            _ => None,
        }
    }

    /// What stands behind `--jobserver-auth=`, unescaped.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Pipe { read, write } => format!("{read},{write}").into_bytes(),
            Self::Fifo(path) => [b"fifo:", path.as_slice()].concat(),
            Self::Unknown(value) => value.clone(),
        }
    }
}

fn jobs(word: &[u8]) -> Option<Jobs> {
    let count = word.strip_prefix(b"-j").or_else(|| word.strip_prefix(b"--jobs="));
    match count {
        Some(b"") => Some(Jobs::Unlimited),
        Some(count) => std::str::from_utf8(count).ok()?.parse().ok().map(Jobs::Count),
        None => (word == b"--jobs").then_some(Jobs::Unlimited),
    }
}

fn is_about_jobs(word: &[u8]) -> bool {
    jobs(word).is_some() || AUTH.iter().any(|name| word.starts_with(name))
}

/// The words before a lone `--`, unescaped.
fn options(value: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    raw_words(value).take_while(|word| *word != b"--").map(unescape)
}

/// Where the lone `--` begins, or the end.
fn end_of_options(value: &[u8]) -> usize {
    let mut words = raw_words(value);
    let end = words.find(|word| *word == b"--");
    // A word is a part of `value`, so the distance of their addresses is its offset.
    end.map_or(value.len(), |word| word.as_ptr().addr() - value.as_ptr().addr())
}

/// Words as they stand, escapes included.
fn raw_words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = value;
    std::iter::from_fn(move || {
        let blanks = rest.iter().take_while(|byte| is_blank(**byte)).count();
        rest = &rest[blanks..];
        if rest.is_empty() {
            return None;
        }
        let (word, behind) = rest.split_at(end_of_word(rest));
        rest = behind;
        Some(word)
    })
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn end_of_word(bytes: &[u8]) -> usize {
    let mut escaped = false;
    let end = bytes.iter().position(|byte| {
        let ends = is_blank(*byte) && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.unwrap_or(bytes.len())
}

/// Takes the backslash from each escaped byte; one at the very end stands for itself.
fn unescape(word: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(word.len());
    let mut bytes = word.iter();
    while let Some(&byte) = bytes.next() {
        let byte = if byte == b'\\' { bytes.next().copied().unwrap_or(byte) } else { byte };
        plain.push(byte);
    }
    plain
}

/// Appends a word as it stands. A backslash that ends `MAKEFLAGS` stands for itself; with more behind it, it
/// would escape that.
fn push_word(made: &mut Vec<u8>, word: &[u8]) {
    made.extend_from_slice(word);
    let backslashes = word.iter().rev().take_while(|byte| **byte == b'\\').count();
    if backslashes % 2 == 1 {
        made.push(b'\\');
    }
}

fn escape(word: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(word.len());
    for &byte in word {
        if byte == b'\\' || is_blank(byte) {
            escaped.push(b'\\');
        }
        escaped.push(byte);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe(read: u32, write: u32) -> Option<Auth> {
        Some(Auth::Pipe { read, write })
    }

    fn fifo(path: &str) -> Option<Auth> {
        Some(Auth::Fifo(path.as_bytes().to_vec()))
    }

    fn auth(value: &str) -> Option<Auth> {
        MakeFlags::parse(value.as_bytes()).auth
    }

    #[test]
    fn what_the_makes_write() {
        assert_eq!(auth(" -j4 --jobserver-auth=3,4"), pipe(3, 4));
        assert_eq!(auth("k -j4 --jobserver-auth=3,4"), pipe(3, 4));
        assert_eq!(auth(" --jobserver-fds=5,6 -j"), pipe(5, 6));
        assert_eq!(auth(" -j4 --jobserver-auth=fifo:/tmp/GMfifo1"), fifo("/tmp/GMfifo1"));
        assert_eq!(auth(r" -j4 -Otarget --jobserver-auth=3,4 --sync-mutex=fnm:/x -- X=a\ b"), pipe(3, 4));
        assert_eq!(auth(""), None);
        assert_eq!(auth("kw"), None);
        assert_eq!(auth(" -j1"), None);
    }

    #[test]
    fn the_last_one_counts() {
        assert_eq!(auth("-j --jobserver-auth=3,4 --jobserver-auth=7,8"), pipe(7, 8));
        assert_eq!(auth("--jobserver-auth=fifo:/a --jobserver-fds=7,8"), pipe(7, 8));
        assert_eq!(auth("--jobserver-fds=7,8 --jobserver-auth=fifo:/a"), fifo("/a"));
    }

    #[test]
    fn negative_descriptors_are_no_jobserver() {
        assert_eq!(auth(" -j4 --jobserver-auth=3,4 --jobserver-auth=-2,-2"), None);
        assert_eq!(auth("--jobserver-auth=-1,4"), None);
        assert_eq!(auth("--jobserver-auth=3,-1"), None);
    }

    #[test]
    fn variables_are_not_options() {
        assert_eq!(auth(" -j4 --jobserver-auth=3,4 -- X=a --jobserver-auth=fifo:/nope"), pipe(3, 4));
        assert_eq!(auth(r" -- X=a\ --jobserver-auth=fifo:/nope"), None);
        assert_eq!(auth(r" --eval=a\ --jobserver-auth=fifo:/nope"), None);
        assert_eq!(auth(r" --\ --jobserver-auth=9,9 --jobserver-auth=3,4"), pipe(3, 4), "no lone --");
    }

    #[test]
    fn lines_do_not_end_words() {
        assert_eq!(auth("--eval=V=1\n--jobserver-auth=fifo:/nope"), None);
        assert_eq!(auth("--jobserver-auth=fifo:/a\r\nb -k"), fifo("/a\r\nb"));
        let made = MakeFlags::with_auth(b" -j4 --eval=V=1\nW=2 -k", &pipe(3, 4).unwrap(), 2);
        assert_eq!(made, b" -j2 --jobserver-auth=3,4 --eval=V=1\nW=2 -k");
    }

    #[test]
    fn names_are_whole() {
        assert_eq!(auth("--jobserver-authority=3,4"), None);
        assert_eq!(auth("x--jobserver-auth=3,4"), None);
        assert_eq!(auth("--no-jobserver-auth=3,4"), None);
    }

    #[test]
    fn escapes() {
        assert_eq!(auth(r"--jobserver-auth=fifo:/tmp/my\ dir/f -k"), fifo("/tmp/my dir/f"));
        assert_eq!(auth(r"--jobserver-auth=fifo:/a\\ -k"), fifo(r"/a\"));
        assert_eq!(auth(r"--jobserver-auth=fifo:/a\\\ b"), fifo(r"/a\ b"));
        assert_eq!(auth(r"--jobserver-auth=fifo:/a\"), fifo(r"/a\"), "nothing behind it to escape");
        let latin1 = MakeFlags::parse(b"--jobserver-auth=fifo:/\xe4");
        assert_eq!(latin1.auth, Some(Auth::Fifo(b"/\xe4".to_vec())));
    }

    #[test]
    fn what_no_make_writes_is_kept_for_the_message() {
        for value in ["3", "3,4,5", "a,b", "", "99999999999,4", "\u{e4},1"] {
            let unknown = Some(Auth::Unknown(value.as_bytes().to_vec()));
            assert_eq!(auth(&format!("--jobserver-auth={value}")), unknown, "{value}");
        }
    }

    #[test]
    fn jobs_are_counted() {
        let jobs = |value: &str| MakeFlags::parse(value.as_bytes()).jobs;
        assert_eq!(jobs(" -j4 --jobserver-auth=3,4"), Some(Jobs::Count(4)));
        assert_eq!(jobs(" -j"), Some(Jobs::Unlimited));
        assert_eq!(jobs(" --jobs=12"), Some(Jobs::Count(12)));
        assert_eq!(jobs("k -- -j9"), None);
        assert_eq!(jobs(" -jx"), None);
    }

    #[test]
    fn another_pool_for_a_child() {
        let with = |value: &str, auth: Option<Auth>| {
            let made = MakeFlags::with_auth(value.as_bytes(), &auth.unwrap(), 3);
            String::from_utf8(made).unwrap()
        };
        assert_eq!(with("", pipe(7, 8)), " -j3 --jobserver-auth=7,8");
        assert_eq!(
            with(r"kw -j8 --jobserver-auth=3,4 -Otarget -- X=a\ b --jobserver-auth=1,2", fifo("/t m/f")),
            r"kw -j3 --jobserver-auth=fifo:/t\ m/f -Otarget -- X=a\ b --jobserver-auth=1,2"
        );
        assert_eq!(with(" -j8 --jobserver-fds=3,4 -k", pipe(7, 8)), " -j3 --jobserver-auth=7,8 -k");
        assert_eq!(with(r"k\", pipe(7, 8)), r"k\\ -j3 --jobserver-auth=7,8");
        assert_eq!(with(" -j8 -- A=1", pipe(7, 8)), " -j3 --jobserver-auth=7,8 -- A=1");
    }

    #[test]
    fn whatever_stands_there_a_child_reads_its_own_pool() {
        let pieces = [
            "k",
            " ",
            "\\",
            "--",
            "-j",
            "4",
            "--jobserver-auth=",
            "3,4",
            "fifo:/",
            "-1,-1",
            "\t",
            "\n",
            "X=",
            "-",
            "\u{e4}",
        ];
        let mut random = 1_u32;
        for _ in 0..20_000 {
            let mut value = String::new();
            for _ in 0..12 {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                value.push_str(pieces[(random >> 16) as usize % pieces.len()]);
            }
            let auth =
                MakeFlags::parse(value.as_bytes()).auth.unwrap_or(Auth::Fifo(value.clone().into_bytes()));
            let made = MakeFlags::with_auth(value.as_bytes(), &auth, 3);
            let read = MakeFlags { jobs: Some(Jobs::Count(3)), auth: Some(auth.clone()) };
            assert_eq!(MakeFlags::parse(&made), read, "{value:?}");
            assert_eq!(MakeFlags::with_auth(&made, &auth, 3), made, "{value:?}");
        }
    }
}
