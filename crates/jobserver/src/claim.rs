//! All free tokens at once, for a program that takes its number of workers as a fixed figure.

use std::io;
use std::num::NonZeroUsize;

use crate::client::Client;
use crate::token::Token;

/// The free tokens of a pool, from [`open`](Claim::open) to [`close`](Claim::close) or to the value's end.
#[derive(Debug)]
pub struct Claim {
    client: Option<Client>,
    /// `None` before `open` and after `close`.
    tokens: Option<Vec<Token>>,
}

impl Claim {
    /// Of this pool; `None` is a claim that never claims.
    pub fn of(client: Option<Client>) -> Self {
        Self { client, tokens: None }
    }

    /// Takes every token that is free now, at most `limit`. Where the claim is open already, nothing happens.
    ///
    /// # Errors
    /// As [`Client::acquire_free`]: the claim stays closed and holds nothing.
    pub fn open(&mut self, limit: usize) -> io::Result<()> {
        if let (Some(client), None) = (&self.client, &self.tokens) {
            self.tokens = Some(client.acquire_free(limit)?);
        }
        Ok(())
    }

    /// How many jobs may run: the tokens and the implicit one. `None` where nothing is claimed, and so
    /// nothing is known of how many there may be.
    pub fn parallelism(&self) -> Option<NonZeroUsize> {
        self.tokens.as_ref().map(|tokens| NonZeroUsize::MIN.saturating_add(tokens.len()))
    }

    /// The bytes that are held.
    pub fn bytes(&self) -> Vec<u8> {
        self.tokens.iter().flatten().map(Token::byte).collect()
    }

    /// Gives all tokens back, once; a second call does nothing.
    ///
    /// # Errors
    /// The first failure; the other tokens are given back nevertheless.
    pub fn close(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        for token in self.tokens.take().into_iter().flatten() {
            result = result.and(token.release());
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_that_fails_is_seen() {
        // Reading from it gives zero bytes for ever, writing fails.
        let client = Client::unlooked("/dev/full");
        let token = client.try_acquire().unwrap().unwrap();
        assert!(token.release().is_err());
        drop(client.try_acquire().unwrap());
        assert_eq!(client.lost(), 2);
        let mut claim = Claim::of(Some(client.clone()));
        claim.open(3).unwrap();
        assert!(claim.close().is_err());
        assert_eq!(client.lost(), 5);
    }

    #[test]
    fn an_error_midway_leaves_nothing_claimed() {
        // A FIFO whose only open end is ours cannot fail midway, so a device that ends at once stands for it.
        let mut claim = Claim::of(Some(Client::unlooked("/dev/null")));
        assert!(claim.open(3).is_err());
        assert_eq!(claim.parallelism(), None);
    }
}
