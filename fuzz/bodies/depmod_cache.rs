//! The cache of `depmod --incremental`, its checksum being right: no panic, and what is written again is what was read.

use kbt_depmod::{
    CACHE_HEAD, Cache, CacheEntry, Digest, Facts, KINDS, Kind, REGIONS, Resolution, WANTS, write_cache,
};

/// A region in the index: a length, a checksum.
const REGION: usize = 8 + 16;

/// One input, an index without a purpose; its bytes stand for those of every region, too.
pub fn run(index: &[u8]) {
    let Some(empty) = write_cache(b"", &[], &Resolution::default(), &[]) else { return };
    let magic = &empty[..CACHE_HEAD - 16 - 8];
    let (digest, length) = (Digest::of(index).to_le_bytes(), (index.len() as u64).to_le_bytes());
    let bytes = [magic, &digest, &length, index].concat();
    let sizes = index.get(4..).unwrap_or_default().chunks(REGION).take(REGIONS);
    let mut sizes = sizes.filter_map(|region| region.first_chunk().map(|size| u64::from_le_bytes(*size)));
    let Some(size) = sizes.try_fold(bytes.len() as u64, u64::checked_add) else { return };
    let Some(cache) = Cache::parse(&bytes, b"", size) else { return };
    let entries: Vec<(CacheEntry<'_>, Facts<'_>)> = (0..cache.len())
        .filter_map(|entry| Some((cache.entry(entry)?, cache.facts(entry, [index; KINDS]))))
        .collect();
    for (entry, facts) in &entries {
        assert!(cache.find(entry.path, 0).is_some());
        let (plain, symbols) = (facts.aliases().count(), facts.exports().count() + facts.imports().count());
        assert!(plain + symbols <= index.len());
    }
    let again = write_cache(b"", cache.known(), cache.resolution(), &entries).expect("it is no larger");
    let (index, regions) = again.split_at(again.len() - entries.iter().map(size_of_facts).sum::<usize>());
    let read = Cache::parse(index, b"", again.len() as u64).expect("kbt's own");
    assert_eq!((read.len(), read.known()), (entries.len(), cache.known()));
    assert_eq!(read.resolution(), cache.resolution());
    let place = |kind: usize| {
        let region = read.region(kind);
        let start = usize::try_from(region.start).expect("it is in memory") - index.len();
        let bytes = &regions[start..][..usize::try_from(region.size).expect("it is in memory")];
        assert!(region.holds(bytes));
        bytes
    };
    let wants = place(WANTS);
    let regions = Kind::ALL.map(|kind| place(kind as usize));
    for (number, entry) in entries.into_iter().enumerate() {
        let hashes = read.piece(number, WANTS).and_then(|piece| wants.get(piece)).expect("it is there");
        assert_eq!(hashes.len(), 4 * entry.1.imports().len());
        assert_eq!(
            Some((read.entry(number).expect("it is there"), read.facts(number, regions))),
            Some(entry)
        );
    }
}

fn size_of_facts((_, facts): &(CacheEntry<'_>, Facts<'_>)) -> usize {
    let pieces: usize = Kind::ALL.into_iter().map(|kind| facts.piece(kind).len()).sum();
    pieces + 4 * facts.imports().len()
}
