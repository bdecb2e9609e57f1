//! DTBO images of every odd layout: unaligned, shared and overlapping entries, gaps, bytes behind the image.

use crate::random::Random;

const MAGICS: [u32; 2] = [0xd7b7_ab1e, 0x4143_5049];
const HEADER: usize = 32;

/// An image that is valid and looks like no packer's.
///
/// Version, magic and page size are any; the table may stand apart from the header; entries point anywhere inside
/// the image, so they overlap each other and even the table; bytes that nothing claims are zeros or not; padding,
/// an AVB footer or neither follows. Entries of versions 1 and 2 have random flags, but random bytes behind them.
pub fn odd(random: &mut Random) -> Vec<u8> {
    let version = random.below(3);
    let entry_size = if version == 2 { 64 } else { 32 };
    let count = random.below(7);
    let table = HEADER + random.below(2) * random.below(40);
    let data = table + count * entry_size;
    let total = data + random.below(500);
    let zeros = random.below(3) == 0;
    let mut image: Vec<u8> = (0..total).map(|_| if zeros { 0 } else { byte(random) }).collect();
    let words = [
        MAGICS[random.below(2)],
        word(total),
        word(HEADER),
        word(entry_size),
        word(count),
        word(table),
        random.cell(),
        word(version),
    ];
    put(&mut image, 0, &words);
    let mut places: Vec<(usize, usize)> = Vec::new();
    for index in 0..count {
        let (offset, size) = place(random, total, data, &places);
        places.push((offset, size));
        let mut words = vec![word(size), word(offset)];
        words.extend((2..entry_size / 4).map(|_| random.cell() >> random.below(32)));
        put(&mut image, table + index * entry_size, &words);
    }
    image.extend(trailing(random));
    image
}

/// Where an entry's data lies: where another's does, anywhere, or behind the table.
fn place(random: &mut Random, total: usize, data: usize, others: &[(usize, usize)]) -> (usize, usize) {
    match random.below(4) {
        0 if !others.is_empty() => others[random.below(others.len())],
        1 => {
            let offset = random.below(total + 1);
            (offset, random.below(total - offset + 1))
        }
        _ => {
            let offset = data + random.below(total - data + 1);
            (offset, random.below(total - offset + 1))
        }
    }
}

fn trailing(random: &mut Random) -> Vec<u8> {
    let length = random.below(200);
    match random.below(5) {
        0 => vec![0; length],
        1 => vec![0xff; length],
        2 => (0..length).map(|_| byte(random)).collect(),
        3 => {
            let mut bytes = vec![0; length + 64];
            bytes[length..length + 4].copy_from_slice(b"AVBf");
            bytes[length + 4..length + 36].fill_with(|| byte(random));
            bytes
        }
        _ => Vec::new(),
    }
}

fn put(image: &mut [u8], at: usize, words: &[u32]) {
    for (index, word) in words.iter().enumerate() {
        image[at + index * 4..][..4].copy_from_slice(&word.to_be_bytes());
    }
}

fn byte(random: &mut Random) -> u8 {
    random.cell().to_le_bytes()[0]
}

fn word(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
