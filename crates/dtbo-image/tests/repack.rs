//! Taking an image apart and joining it again, over images of every odd layout.

// A test that cannot go on ends in a panic, its helpers too.
#![allow(clippy::unwrap_used, clippy::panic)]

use kbt_dtbo_image::{Blob, DtTable, Image, repack};
use kbt_testkit::dtbo_image::odd;
use kbt_testkit::random::Random;

/// Images a test looks at; each takes microseconds.
const IMAGES: u64 = 3000;

fn images() -> impl Iterator<Item = (u64, Vec<u8>)> {
    (0..IMAGES).map(|seed| (seed, odd(&mut Random::new(seed))))
}

#[test]
fn what_did_not_change_comes_back_byte_for_byte() {
    for (seed, bytes) in images() {
        let table = DtTable::parse(&bytes).unwrap();
        let repacked = repack(&Image::of(&table)).unwrap();
        assert!(!repacked.moved && !repacked.trailing_dropped, "seed {seed}");
        assert!(repacked.bytes == bytes, "seed {seed}");
    }
}

#[test]
fn gaps_blobs_header_and_table_cover_the_image() {
    for (seed, bytes) in images() {
        let table = DtTable::parse(&bytes).unwrap();
        let image = Image::of(&table);
        let total = image.total_size as usize;
        let table_end =
            image.entries_offset as usize + image.entries.len() * image.layout.version.entry_size() as usize;
        let mut claimed = vec![false; total];
        claimed[..32].fill(true);
        claimed[image.entries_offset as usize..table_end].fill(true);
        for blob in &image.blobs {
            claimed[blob.offset.unwrap() as usize..][..blob.bytes.len()].fill(true);
        }
        for gap in &image.gaps {
            let range = &mut claimed[gap.offset..][..gap.bytes.len()];
            assert!(range.iter().all(|&claimed| !claimed), "seed {seed}: a gap claims what is not free");
            range.fill(true);
        }
        assert!(claimed.iter().all(|&claimed| claimed), "seed {seed}: a byte is lost");
    }
}

#[test]
fn a_blob_that_changes_its_size_moves_the_others() {
    for (seed, bytes) in images() {
        let table = DtTable::parse(&bytes).unwrap();
        let mut image = Image::of(&table);
        let Some(blob) = image.blobs.first_mut() else { continue };
        let longer = [blob.bytes, b"and more"].concat();
        *blob = Blob { bytes: &longer, ..*blob };
        let repacked = repack(&image).unwrap();
        assert!(repacked.moved, "seed {seed}");
        let new = DtTable::parse(&repacked.bytes).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(new.header().page_size, table.header().page_size);
        for (index, (old_entry, new_entry)) in table.entries().iter().zip(new.entries()).enumerate() {
            let blob = image.blobs[image.entries[index].blob];
            assert!(new.stored(index) == Some(blob.bytes), "seed {seed}: entry {index}");
            let unmoved = kbt_dtbo_image::DtTableEntry {
                dt_size: old_entry.dt_size,
                dt_offset: old_entry.dt_offset,
                ..*new_entry
            };
            assert_eq!(unmoved, *old_entry, "seed {seed}: entry {index}");
        }
        if new.header().total_size != table.header().total_size {
            assert_eq!(new.avb_footer(), None, "seed {seed}: a footer of the old layout stayed");
        }
    }
}

#[test]
fn alignment_is_kept_when_blobs_move() {
    // Two blobs at multiples of 16, the rest zeros.
    let mut bytes = vec![0; 160];
    let words: [u32; 24] = [
        0xd7b7_ab1e,
        160,
        32,
        32,
        2,
        32,
        2048,
        0, //
        5,
        112,
        1,
        0,
        0,
        0,
        0,
        0, //
        7,
        144,
        2,
        0,
        0,
        0,
        0,
        0,
    ];
    for (slot, word) in bytes.chunks_mut(4).zip(words) {
        slot.copy_from_slice(&word.to_be_bytes());
    }
    bytes[112..117].copy_from_slice(b"first");
    bytes[144..151].copy_from_slice(b"another");
    let table = DtTable::parse(&bytes).unwrap();
    let mut image = Image::of(&table);
    assert_eq!(image.layout.alignment, 16);
    image.blobs[0].bytes = b"one that needs more than its old place";
    let repacked = repack(&image).unwrap();
    image.layout.alignment = u32::MAX;
    assert!(repack(&image).unwrap().bytes.len() < 3 * 4096, "an alignment from a manifest is not believed");
    let new = DtTable::parse(&repacked.bytes).unwrap();
    assert_eq!(new.entries()[0].dt_offset % 16, 0);
    assert_eq!(new.entries()[1].dt_offset % 16, 0);
    assert_eq!(new.stored(1), Some(&b"another"[..]));
}

#[test]
fn padding_keeps_the_file_s_length_when_blobs_move() {
    let mut bytes = odd(&mut Random::new(0));
    let total = DtTable::parse(&bytes).unwrap().header().total_size as usize;
    bytes.truncate(total);
    bytes.resize(total + 4096, 0xff);
    let table = DtTable::parse(&bytes).unwrap();
    let mut image = Image::of(&table);
    image.blobs.push(Blob { offset: None, bytes: b"new" });
    image.entries.push(kbt_dtbo_image::PackEntry { blob: image.blobs.len() - 1, ..Default::default() });
    let repacked = repack(&image).unwrap();
    assert!(repacked.moved && !repacked.trailing_dropped);
    assert_eq!(repacked.bytes.len(), bytes.len());
    let new = DtTable::parse(&repacked.bytes).unwrap();
    assert!(new.trailing().iter().all(|&byte| byte == 0xff));
    assert_eq!(new.stored(image.entries.len() - 1), Some(&b"new"[..]));
}
