//! What wrapper and keeper say to each other over a socket: one byte of kind, the payload's length as 32 bits
//! little endian, the payload.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

/// More than any path and any message.
const MAX_PAYLOAD: u32 = 1 << 24;

/// From the wrapper to the keeper.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// Take all free tokens if there are at least `min`, and at most `max`; else none. Answered.
    Claim { min: u32, max: u32 },
    /// The process group that ends with the wrapper.
    Group(u32),
    /// A file that is removed if the wrapper is killed.
    Remove(Vec<u8>),
    /// Give one token of the escrow back.
    Return,
    /// Give all tokens back and end. Answered.
    Release,
}

/// From the keeper to the wrapper.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// So many were taken.
    Claimed(u32),
    /// Fewer than `min` were free; none is held.
    TooFew,
    /// All went back.
    Released,
    /// What the system said.
    Failed(String),
}

impl Request {
    /// Sends it.
    pub fn send(&self, to: &UnixStream) -> io::Result<()> {
        match self {
            Self::Claim { min, max } => write(to, b'C', &[min.to_le_bytes(), max.to_le_bytes()].concat()),
            Self::Group(group) => write(to, b'G', &group.to_le_bytes()),
            Self::Remove(path) => write(to, b'P', path),
            Self::Return => write(to, b'T', b""),
            Self::Release => write(to, b'R', b""),
        }
    }

    /// Waits for one; `UnexpectedEof` where the wrapper is gone.
    pub fn receive(from: &mut UnixStream) -> io::Result<Self> {
        let (kind, payload) = read(from)?;
        match kind {
            b'C' => Ok(Self::Claim { min: number(&payload, 0)?, max: number(&payload, 4)? }),
            b'G' => Ok(Self::Group(number(&payload, 0)?)),
            b'P' => Ok(Self::Remove(payload)),
            b'T' => Ok(Self::Return),
            b'R' => Ok(Self::Release),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl Reply {
    /// Sends it.
    pub fn send(&self, to: &UnixStream) -> io::Result<()> {
        match self {
            Self::Claimed(count) => write(to, b'c', &count.to_le_bytes()),
            Self::TooFew => write(to, b'f', b""),
            Self::Released => write(to, b'r', b""),
            Self::Failed(text) => write(to, b'e', text.as_bytes()),
        }
    }

    /// Waits for one; `UnexpectedEof` where the keeper is gone.
    pub fn receive(from: &mut UnixStream) -> io::Result<Self> {
        let (kind, payload) = read(from)?;
        match kind {
            b'c' => Ok(Self::Claimed(number(&payload, 0)?)),
            b'f' => Ok(Self::TooFew),
            b'r' => Ok(Self::Released),
            b'e' => Ok(Self::Failed(String::from_utf8_lossy(&payload).into_owned())),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// The number at this byte of a payload.
fn number(payload: &[u8], at: usize) -> io::Result<u32> {
    let bytes = payload.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u32::from_le_bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// In one system call, so that a kill never leaves half a message.
fn write(mut to: &UnixStream, kind: u8, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    to.write_all(&[&[kind], length.to_le_bytes().as_slice(), payload].concat())
}

fn read(from: &mut UnixStream) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    from.read_exact(&mut head)?;
    let [kind, length @ ..] = head;
    let length = u32::from_le_bytes(length);
    if length > MAX_PAYLOAD {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut payload = Vec::new();
    from.take(length.into()).read_to_end(&mut payload)?;
    Ok((kind, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_received() {
        let (here, mut there) = UnixStream::pair().unwrap();
        let requests =
            [Request::Claim { min: 1, max: u32::MAX }, Request::Group(7), Request::Remove(b"/\xe4".to_vec())];
        for request in requests.into_iter().chain([Request::Return, Request::Release]) {
            request.send(&here).unwrap();
            assert_eq!(Request::receive(&mut there).unwrap(), request);
        }
        let replies = [Reply::Claimed(u32::MAX), Reply::TooFew, Reply::Failed("no".to_owned())];
        for reply in replies.into_iter().chain([Reply::Released]) {
            reply.send(&here).unwrap();
            assert_eq!(Reply::receive(&mut there).unwrap(), reply);
        }
        drop(here);
        assert_eq!(Request::receive(&mut there).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
