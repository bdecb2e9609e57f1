//! Where tokens lie while they are used.

use std::io;

use kbt_jobserver::{Claim, Client, Escrow};

/// Tokens of one pool, or of none. A pipe's lie in an escrow, which a fork of this process has, too; those of a device are
/// this process's own, as its driver wants it.
#[derive(Debug)]
pub struct Store {
    escrow: Option<Escrow>,
    device: Claim,
}

impl Store {
    /// An empty one, for tokens of this pool, of which up to `most` are taken one by one.
    ///
    /// # Errors
    /// The system's.
    pub fn of(pool: Option<&Client>, most: usize) -> io::Result<Self> {
        let (device, pipe) = pool.map_or((None, None), |pool| match pool.is_device() {
            true => (Some(pool.clone()), None),
            false => (None, Some(pool.clone())),
        });
        let escrow = pipe.map(|pipe| Escrow::new(pipe, most)).transpose()?;
        Ok(Self { escrow, device: Claim::of(device) })
    }

    /// Takes all free tokens, at most `max`; `None`, and none held, where there are fewer than `min`.
    ///
    /// # Errors
    /// The pool's.
    pub fn claim(&mut self, min: u32, max: u32) -> io::Result<Option<u32>> {
        let taken = self.take(usize::try_from(max).unwrap_or(usize::MAX))?;
        let taken = u32::try_from(taken).unwrap_or(u32::MAX);
        if taken >= min {
            return Ok(Some(taken));
        }
        self.give_back()?;
        Ok(None)
    }

    fn take(&mut self, max: usize) -> io::Result<usize> {
        if let Some(escrow) = &self.escrow {
            return escrow.take(max);
        }
        self.device.open(max)?;
        Ok(self.device.parallelism().map_or(0, |jobs| jobs.get() - 1))
    }

    /// Moves one token into the escrow, if one is free and there is an escrow. May be called on any thread.
    ///
    /// # Errors
    /// The pool's.
    pub fn take_one(&self) -> io::Result<bool> {
        self.escrow.as_ref().map_or(Ok(false), |escrow| Ok(escrow.take(1)? > 0))
    }

    /// Gives one token of the escrow back, if one lies there.
    ///
    /// # Errors
    /// The pool's; that token is lost then.
    pub fn give_one_back(&self) -> io::Result<()> {
        self.escrow.as_ref().map_or(Ok(()), Escrow::give_back)
    }

    /// Gives all tokens back.
    ///
    /// # Errors
    /// The first failure; the others are given back nevertheless.
    pub fn give_back(&mut self) -> io::Result<()> {
        let closed = self.device.close();
        self.escrow.as_ref().map_or(Ok(()), Escrow::give_back_all).and(closed)
    }
}
