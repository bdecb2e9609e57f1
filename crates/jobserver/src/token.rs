//! One job more.

use std::io;
use std::sync::Arc;

use crate::open::Pool;

/// The right to run one job beside the implicit one: a byte out of the pool.
///
/// It goes back, as the very byte that was read, when the value ends. [`Token::release`] does so at once
/// and tells whether it worked; where a token is only dropped, a failure is counted
/// ([`Client::lost`](crate::Client::lost)).
#[derive(Debug)]
#[must_use = "a token that is not kept goes back at once"]
pub struct Token {
    pool: Arc<Pool>,
    byte: u8,
    /// Whether the byte still has to go back.
    held: bool,
}

impl Token {
    pub(crate) fn new(pool: Arc<Pool>, byte: u8) -> Self {
        Self { pool, byte, held: true }
    }

    /// The byte that was read. It means nothing to a client but has to go back as it came.
    pub fn byte(&self) -> u8 {
        self.byte
    }

    /// Gives the token back.
    ///
    /// # Errors
    /// The system's; then the token is lost to the pool, and counted as such.
    pub fn release(mut self) -> io::Result<()> {
        self.give_back()
    }

    fn give_back(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.held) {
            return Ok(());
        }
        let result = self.pool.put(self.byte);
        if result.is_err() {
            self.pool.count_lost();
        }
        result
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        // Counted where it fails; nobody is left to tell it to.
        let _ = self.give_back();
    }
}
