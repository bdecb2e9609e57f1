//! `kbt jobserver`.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use kbt_jobserver::Style;

/// Commands on make's jobserver.
#[derive(Debug, Subcommand)]
pub enum Command {
    Exec(Exec),
    Pool(Pool),
    /// Show the jobserver that MAKEFLAGS names: its style, its size, how many tokens are free, who has it open
    ///
    /// No token is taken for that. Processes of other users are seen by root only.
    ///
    /// Example: kbt jobserver pool -j4 -- kbt jobserver status
    Status,
}

/// Run a command with all free tokens of make's jobserver
///
/// PARALLELISM is set to the number of jobs that the command may run: the tokens and the job that it is
/// itself. Where nothing was claimed PARALLELISM is removed: there is no jobserver, or one is named but cannot
/// be used (as a rule because the recipe does not begin with `+`), which is told. A make that the command
/// starts shares the same tokens.
///
/// Signals are forwarded, and all tokens go back when the command ends or kbt is killed. The exit code is the
/// command's, 128+N after signal N, 126 or 127 where it cannot be run or found, 124 after --timeout.
///
/// In a makefile the recipe's line begins with `+`, so that make hands its jobserver on, and `$` is written twice.
///
/// Example: kbt jobserver exec -- sh -c 'xargs -P ${PARALLELISM:-1} -n 1 gzip -k < files'
#[derive(Debug, Args)]
pub struct Exec {
    /// Run at most N jobs, that is, take at most N-1 tokens
    #[arg(long, value_name = "N", value_parser = jobs)]
    pub max: Option<NonZeroU32>,
    /// Wait, without holding any token, until N jobs can run; recipes that wait so for each other wait for ever
    #[arg(long, value_name = "N", value_parser = jobs, default_value = "1", hide_default_value = true)]
    pub min: NonZeroU32,
    /// Give up waiting after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// Which jobserver the command's own makes see: a private one with the tokens taken, or make's
    #[arg(long, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_value = "private",
          default_missing_value = "private")]
    pub pool: ChildPool,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// The jobserver of a command's own makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ChildPool {
    /// A pool of its own with the tokens taken: its makes run in parallel at once, and what they lose is not
    /// lost to the make above
    Private,
    /// The pool that the tokens were taken from: for a command that starts PARALLELISM makes itself
    Inherited,
}

/// Run a command with a jobserver of its own, where no make is above it
///
/// For programs that know how to be a jobserver's client: make, ninja 1.13, cargo, gcc -flto=jobserver. At
/// the end it is said how many tokens were not given back. The exit code is the command's, as with exec.
///
/// Example: kbt jobserver pool -j16 -- ninja
#[derive(Debug, Args)]
pub struct Pool {
    /// Let N jobs run at once [default: the number of processors]
    #[arg(short = 'j', value_name = "N", value_parser = jobs)]
    pub size: Option<NonZeroU32>,
    /// How clients reach it
    #[arg(long, default_value = "fifo")]
    pub style: PoolStyle,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// How clients reach a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PoolStyle {
    /// By a path: make 4.4 and later, ninja
    Fifo,
    /// By inherited descriptors: every make
    Pipe,
}

impl From<PoolStyle> for Style {
    fn from(style: PoolStyle) -> Self {
        match style {
            PoolStyle::Fifo => Self::Fifo,
            PoolStyle::Pipe => Self::Pipe,
        }
    }
}

fn jobs(word: &str) -> Result<NonZeroU32, String> {
    word.parse().map_err(|_| "a number above 0 is wanted".to_owned())
}

fn seconds(word: &str) -> Result<Duration, String> {
    let seconds: f64 = word.parse().map_err(|_| "a number of seconds is wanted".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
