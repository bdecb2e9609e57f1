//! `kbt jobserver status`.

use std::fmt::Write as _;
use std::io;
use std::os::unix::ffi::OsStrExt as _;

use kbt_jobserver::{Auth, Client, Jobs, Jobserver, MakeFlags, makeflags};
use serde_json::{Value, json};

use crate::commands::jobserver_exec::unusable;
use crate::jobserver::holders::{self, Holder};
use crate::output::Output;
use crate::report::{Failure, Report};

/// Shows the jobserver that the environment names, without taking a token.
pub fn run(report: &mut Report) -> Result<(), Failure> {
    let flags = MakeFlags::parse(makeflags().as_bytes());
    match (Jobserver::from_env(), flags.auth) {
        (Jobserver::Unusable(reason), _) => Err(Failure { hint: None, ..unusable(&reason) }),
        (Jobserver::Usable(client), Some(auth)) => {
            let status = Status::of(&client, &auth, flags.jobs).map_err(|error| {
                Failure::io("look at the jobserver", auth.to_bytes().escape_ascii(), &error)
            })?;
            status.tell(report)
        }
        (Jobserver::Usable(_) | Jobserver::None, _) => {
            report.field("style", Value::Null);
            if report.is_json() {
                return Ok(());
            }
            Output::Stdout.write(b"no jobserver\n", false)
        }
    }
}

struct Status {
    style: &'static str,
    auth: String,
    /// Tokens that the pool had when it was made, where `-jN` tells.
    size: Option<u32>,
    /// `None` where a device does not tell.
    free: Option<usize>,
    holders: Vec<Holder>,
}

impl Status {
    fn of(client: &Client, auth: &Auth, jobs: Option<Jobs>) -> io::Result<Self> {
        let size = match jobs {
            Some(Jobs::Count(jobs)) => Some(jobs.saturating_sub(1)),
            Some(Jobs::Unlimited) | None => None,
        };
        let style = match auth {
            Auth::Pipe { .. } => "pipe",
            _ if client.is_device() => "device",
            Auth::Fifo(_) | Auth::Unknown(_) => "fifo",
        };
        Ok(Self {
            style,
            auth: auth.to_bytes().escape_ascii().to_string(),
            size,
            free: client.free().ok(),
            holders: holders::of(client.file_id()?),
        })
    }

    fn tell(&self, report: &mut Report) -> Result<(), Failure> {
        if report.is_json() {
            report.field("style", self.style);
            report.field("auth", self.auth.as_str());
            report.field("size", self.size);
            report.field("free", self.free);
            report.field("holders", json!(self.holders));
            return Ok(());
        }
        Output::Stdout.write(self.text().as_bytes(), false)
    }

    fn text(&self) -> String {
        let number = |number: Option<String>| number.unwrap_or_else(|| "unknown".to_owned());
        let mut text = format!(
            "style  {}\nauth   {}\nsize   {}\nfree   {}\n",
            self.style,
            self.auth,
            number(self.size.map(|size| size.to_string())),
            number(self.free.map(|free| free.to_string()))
        );
        for holder in &self.holders {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "open   {} ({})", holder.name, holder.pid);
        }
        text
    }
}
