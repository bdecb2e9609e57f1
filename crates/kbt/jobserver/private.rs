//! A pool for one command only, with the tokens that were claimed for it.
//!
//! The tokens themselves stay with the keeper; the private pool has as many bytes of its own. Whatever happens
//! to these is no matter of the make above: a make of the command's that is killed with its hands full loses
//! nothing to others.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use kbt_jobserver::{Auth, MakeFlags, Server, Style, makeflags};

use super::keeper::Keeper;

/// The pool, and what the command is told of it.
pub struct PrivatePool {
    server: Server,
}

impl PrivatePool {
    /// With so many tokens, in the style of the pool that the environment names: what wrote that name
    /// understands it. Where no FIFO can be made it is a pipe, as make itself does it.
    pub fn of(tokens: u32, keeper: &Keeper) -> io::Result<Self> {
        if let Some(Auth::Fifo(_)) = MakeFlags::parse(makeflags().as_bytes()).auth
            && let Ok(fifo) = Self::in_style(Style::Fifo, tokens, keeper)
        {
            return Ok(fifo);
        }
        Self::in_style(Style::Pipe, tokens, keeper)
    }

    /// With so many tokens, in this style.
    pub fn in_style(style: Style, tokens: u32, keeper: &Keeper) -> io::Result<Self> {
        let tokens = usize::try_from(tokens).map_err(io::Error::other)?;
        if style == Style::Pipe {
            return Ok(Self { server: Server::pipe(tokens)? });
        }
        let made = tempfile::Builder::new().prefix("kbt-jobserver-").make(|path| {
            keeper.remove_with_us(path);
            Server::fifo(path, tokens)
        })?;
        let (server, path) = made.into_parts();
        // The server removes it.
        path.keep()?;
        Ok(Self { server })
    }

    /// The pool itself.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The variables that name it to the command.
    pub fn environment(&self) -> Vec<(&'static str, Option<OsString>)> {
        let jobs = u32::try_from(self.server.tokens()).unwrap_or(u32::MAX).saturating_add(1);
        let value = MakeFlags::with_auth(makeflags().as_bytes(), self.server.auth(), jobs);
        // The crate `jobserver` looks into these two besides, into the first before MAKEFLAGS.
        vec![("MAKEFLAGS", Some(OsString::from_vec(value))), ("CARGO_MAKEFLAGS", None), ("MFLAGS", None)]
    }
}
