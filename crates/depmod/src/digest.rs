//! A checksum of 128 bits, for caches: fast, the same on every machine, and no defence against who wants a collision.
//!
//! Four lanes take eight bytes each in turn, by the step of xxHash64; a step can be undone, so one changed word always
//! changes its lane.

/// Odd numbers without a pattern: the first digits of pi's fraction, and of e's.
const FACTORS: [u64; 4] =
    [0x243F_6A88_85A3_08D3, 0x1319_8A2E_0370_7345, 0xB7E1_5162_8AED_2A6B, 0xBF71_5880_9CF4_F3C7];

/// Bytes that the lanes take together.
const BLOCK: usize = 32;

/// A checksum in the making.
#[derive(Debug, Clone)]
pub struct Digest {
    lanes: [u64; 4],
    length: u64,
    /// What waits for others to fill a block, and how much that is.
    rest: [u8; BLOCK],
    waiting: usize,
}

impl Default for Digest {
    fn default() -> Self {
        Self { lanes: FACTORS, length: 0, rest: [0; BLOCK], waiting: 0 }
    }
}

impl Digest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> u128 {
        let mut digest = Self::default();
        digest.update(bytes);
        digest.finish()
    }

    /// Takes more bytes in.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.length = self.length.wrapping_add(bytes.len() as u64);
        if self.waiting > 0 {
            let missing = bytes.len().min(BLOCK - self.waiting);
            let (front, behind) = bytes.split_at_checked(missing).unwrap_or_default();
            self.wait(front);
            bytes = behind;
            if self.waiting < BLOCK {
                return;
            }
            let rest = self.rest;
            self.blocks(&rest);
            self.waiting = 0;
        }
        let behind = self.blocks(bytes);
        self.wait(behind);
    }

    fn wait(&mut self, bytes: &[u8]) {
        let end = self.waiting + bytes.len();
        if let Some(place) = self.rest.get_mut(self.waiting..end) {
            place.copy_from_slice(bytes);
        }
        self.waiting = end;
    }

    /// The checksum of all that was taken in.
    pub fn finish(mut self) -> u128 {
        let mut rest = self.rest;
        rest.get_mut(self.waiting..).unwrap_or_default().fill(0);
        self.blocks(&rest);
        let [a, b, c, d] = self.lanes;
        let low = mix(a ^ mix(b ^ mix(c ^ mix(d ^ self.length))));
        let high = mix(d.rotate_left(17) ^ mix(c ^ mix(b ^ mix(a ^ low))));
        u128::from(high) << 64 | u128::from(low)
    }

    /// Takes the whole blocks in and gives back what is left.
    fn blocks<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        let mut lanes = self.lanes;
        for block in blocks {
            let (words, _) = block.as_chunks::<8>();
            for ((lane, word), factor) in lanes.iter_mut().zip(words).zip(FACTORS) {
                let spread = u64::from_le_bytes(*word).wrapping_mul(FACTORS[2]);
                *lane = lane.wrapping_add(spread).rotate_left(31).wrapping_mul(factor);
            }
        }
        self.lanes = lanes;
        rest
    }
}

fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 32)).wrapping_mul(FACTORS[2]);
    let word = (word ^ (word >> 29)).wrapping_mul(FACTORS[3]);
    word ^ (word >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_give_what_the_whole_gives() {
        let bytes: Vec<u8> = (0..1000_u32).map(|number| number.wrapping_mul(37).to_le_bytes()[0]).collect();
        let whole = Digest::of(&bytes);
        for size in [1, 7, 31, 32, 33, 64, 999] {
            let mut digest = Digest::default();
            bytes.chunks(size).for_each(|piece| digest.update(piece));
            assert_eq!(digest.finish(), whole, "{size}");
        }
    }

    #[test]
    fn every_bit_and_the_length_count() {
        let bytes = [0_u8; 100];
        let mut seen: Vec<u128> = (0..100).map(|length| Digest::of(&bytes[..length])).collect();
        for bit in 0..800 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            seen.push(Digest::of(&changed));
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 900);
    }
}
