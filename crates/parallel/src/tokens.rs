//! What a worker beyond the first needs.

use std::io;

/// Gives out the right to one more thread, as make's jobserver does.
///
/// The token that every process has from the start, unasked, is not counted: the first worker runs on it.
pub trait TokenSource: Send + Sync {
    /// Takes a token if one is free, and never waits for one.
    ///
    /// # Errors
    /// The source is broken. It is not asked again.
    fn try_acquire(&self) -> io::Result<Option<Box<dyn Token + '_>>>;
}

/// One token that is held. To drop it gives it back too, but then nobody learns whether that worked.
pub trait Token: Send {
    /// Gives the token back.
    ///
    /// # Errors
    /// The token is lost to everybody.
    fn release(self: Box<Self>) -> io::Result<()>;
}

/// What went wrong with tokens. The work itself is done all the same, by fewer workers.
#[derive(Debug, Default)]
pub struct TokenFaults {
    /// Why the source was not asked any more.
    pub acquire: Option<io::Error>,
    /// Why the first of the lost tokens could not be given back.
    pub release: Option<io::Error>,
    /// How many tokens could not be given back.
    pub lost: usize,
}

impl TokenFaults {
    /// Notes that the source is broken.
    pub(crate) fn cannot_acquire(&mut self, error: io::Error) {
        self.acquire.get_or_insert(error);
    }

    /// Notes a lost token.
    pub(crate) fn cannot_release(&mut self, error: io::Error) {
        self.lost += 1;
        self.release.get_or_insert(error);
    }
}
