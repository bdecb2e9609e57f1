//! A DTBO image: whatever is read stays inside the image, and what can be read is joined again without loss.

use kbt_dtbo_image::{DtTable, Image, repack};

/// One input.
pub fn run(bytes: &[u8]) {
    let Ok(table) = DtTable::parse(bytes) else { return };
    for (index, entry) in table.entries().iter().enumerate() {
        assert_eq!(table.stored(index).map(<[u8]>::len), Some(entry.dt_size as usize));
    }
    assert!(!table.to_string().is_empty());
    let repacked = repack(&Image::of(&table)).expect("what was read can be written");
    assert!(repacked.bytes == bytes && !repacked.moved, "taken apart and joined, the image is another");

    // One blob grows: the new image is valid and every entry has its bytes.
    let mut image = Image::of(&table);
    let Some(first) = image.blobs.first_mut() else { return };
    let longer = [first.bytes, b"more"].concat();
    first.bytes = &longer;
    let Ok(repacked) = repack(&image) else { return };
    let moved = DtTable::parse(&repacked.bytes).expect("a new layout is valid");
    for (index, entry) in image.entries.iter().enumerate() {
        assert_eq!(moved.stored(index), Some(image.blobs[entry.blob].bytes));
    }
}
