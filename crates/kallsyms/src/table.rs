//! A table as it lies in a kernel: checked, and read entry by entry.

use kbt_elf::ReadRef;

use crate::addresses;
use crate::error::{Error, ErrorKind};
use crate::layout::{AddressTable, Array, Class, Layout};
use crate::locate::Located;
use crate::names::{MARKER_STEP, NamesReader};
use crate::seqs;
use crate::token::TokenTable;

/// The longest name that is read, in bytes: kernels hold less than 512.
const MAX_NAME: usize = 4096;

/// One symbol of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'t> {
    /// The address, or the value of an absolute one.
    pub address: u64,
    /// Whether the table says that it is absolute.
    pub absolute: bool,
    /// nm's letter.
    pub kind: u8,
    /// The name.
    pub name: &'t [u8],
}

/// A decoded table.
#[derive(Debug, Clone)]
pub struct Table<'data> {
    /// How it is laid out.
    pub layout: Layout,
    /// What each code stands for.
    pub tokens: TokenTable,
    /// Address and absoluteness of each symbol, in the table's order.
    pub addresses: Vec<(u64, bool)>,
    /// The codes of each name.
    pub names: Vec<&'data [u8]>,
    /// Where every 256th name starts in the names.
    pub markers: Vec<u32>,
    /// Where they do start.
    pub true_markers: Vec<u32>,
    /// The symbols by name, where the layout has that.
    pub seqs: Option<Vec<u32>>,
    /// What `kallsyms_relative_base` holds, 0 where there is none.
    pub base: u64,
    /// Bytes of each array that are in use, in the order of the slots.
    pub used: Vec<(Array, u64)>,
    located: Located,
}

impl<'data> Table<'data> {
    /// Reads the table that was located in `data`. What the symbols did not tell is decided here: whether lengths take
    /// two bytes, and how offsets count.
    ///
    /// # Errors
    ///
    /// An array that lies outside, names or tokens that do not fit their arrays.
    pub fn read<R: ReadRef<'data>>(located: &Located, data: R) -> Result<Self, Error> {
        let count = located.count(data)?;
        if count > seqs::MAX_SYMBOLS {
            return Err(Error::at(ErrorKind::TooManySymbols { count }, located.slot(Array::NumSyms)?.offset));
        }
        let bytes = |array| bytes(located, data, array, count);
        let mut layout = located.layout;
        let markers = bytes(Array::Markers)?.chunks_exact(4).filter_map(<[u8]>::first_chunk);
        let markers: Vec<u32> = markers.map(|marker| layout.read_u32(*marker)).collect();
        let tokens = TokenTable::parse(bytes(Array::TokenTable)?, bytes(Array::TokenIndex)?, &layout)
            .map_err(|error| located.shift(error, Array::TokenTable))?;
        let all_names = bytes(Array::Names)?;
        let read = |layout: &Layout| read_names(all_names, count, layout);
        let mut names = read(&layout);
        let fits =
            |names: &Result<Found<'_>, Error>| names.as_ref().is_ok_and(|names| names.markers == markers);
        if !layout.long_lengths && !fits(&names) {
            // 6.1 as it was released: long names, no sequence numbers.
            let long = Layout { long_lengths: true, ..layout };
            let again = read(&long);
            if fits(&again) {
                (layout, names) = (long, again);
            }
        }
        let names = names.map_err(|error| located.shift(error, Array::Names))?;
        let base = match layout.addresses.has_base() {
            // Zero where a relocation brings it at boot (arm64): it is that of `_text`.
            true => match layout.read_word(bytes(Array::RelativeBase)?).unwrap_or(0) {
                0 => located.text.unwrap_or(0),
                base => base,
            },
            false => 0,
        };
        let array = layout.addresses.array();
        let stored = bytes(array)?;
        let place = located.slot(array)?.address;
        layout.addresses = how(stored, &layout, place, base);
        let seqs = match layout.seqs {
            true => Some(seqs::decode(bytes(Array::SeqsOfNames)?).collect()),
            false => None,
        };
        let used = located.slots.iter().map(|slot| {
            let size = match slot.array {
                Array::Names => names.end as u64,
                Array::TokenTable => tokens.bytes().len() as u64,
                _ => located.size(slot, count),
            };
            (slot.array, size)
        });
        Ok(Self {
            used: used.collect(),
            addresses: addresses::decode(stored, &layout, place, base).collect(),
            names: names.names,
            true_markers: names.markers,
            layout,
            tokens,
            markers,
            seqs,
            base,
            located: located.clone(),
        })
    }

    /// How many symbols it has.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Where its arrays are.
    pub fn located(&self) -> &Located {
        &self.located
    }

    /// Where an entry of an array lies in the file.
    pub fn offset_of(&self, array: Array, index: usize) -> Option<u64> {
        let size = match array {
            Array::Addresses => self.layout.word() as u64,
            Array::Offsets | Array::Markers => 4,
            Array::SeqsOfNames => 3,
            Array::TokenIndex => 2,
            Array::Names => {
                let length = |codes: &&[u8]| crate::names::Names::size(codes.len(), &self.layout) as u64;
                let before: u64 = self.names.get(..index)?.iter().map(length).sum();
                return Some(self.located.slot(array).ok()?.offset.saturating_add(before));
            }
            Array::RelativeBase | Array::NumSyms | Array::TokenTable => 0,
        };
        Some(self.located.slot(array).ok()?.offset.saturating_add(size * index as u64))
    }

    /// The symbol at a place of the table; its name is written to `room`. `None` behind the last.
    ///
    /// # Errors
    ///
    /// A name without a letter, or longer than any kernel's; its offset is that of the array.
    pub fn entry<'t>(&self, index: usize, room: &'t mut Vec<u8>) -> Result<Option<Entry<'t>>, Error> {
        let (Some(codes), Some(&(address, absolute))) = (self.names.get(index), self.addresses.get(index))
        else {
            return Ok(None);
        };
        let offset = self.located.slot(Array::Names)?.offset;
        room.clear();
        for &code in *codes {
            room.extend_from_slice(self.tokens.string(code));
            if room.len() > MAX_NAME {
                return Err(Error::at(ErrorKind::Expansion { index, most: MAX_NAME }, offset));
            }
        }
        let (&kind, name) = room.split_first().ok_or(Error::at(ErrorKind::BadName { index }, offset))?;
        Ok(Some(Entry { address, absolute, kind, name }))
    }
}

impl Located {
    /// An error within an array as one in the file.
    fn shift(&self, error: Error, array: Array) -> Error {
        let start = self.slot(array).map_or(0, |slot| slot.offset);
        Error { offset: error.offset.map(|offset| start.saturating_add(offset)), ..error }
    }
}

fn bytes<'data, R: ReadRef<'data>>(
    located: &Located,
    data: R,
    array: Array,
    count: usize,
) -> Result<&'data [u8], Error> {
    let slot = located.slot(array)?;
    let size = located.size(&slot, count);
    let bytes = data.read_bytes_at(slot.offset, size).ok().filter(|_| size <= slot.room);
    bytes.ok_or(Error::at(ErrorKind::ArrayOutside { array }, slot.offset))
}

/// The names of an array.
struct Found<'data> {
    names: Vec<&'data [u8]>,
    markers: Vec<u32>,
    end: usize,
}

fn read_names<'data>(bytes: &'data [u8], count: usize, layout: &Layout) -> Result<Found<'data>, Error> {
    let mut reader = NamesReader::new(bytes, layout);
    // A name takes two bytes: what is stated may be more than there is.
    let mut names = Vec::with_capacity(count.min(bytes.len() / 2));
    let mut markers = Vec::new();
    for index in 0..count {
        if index % MARKER_STEP == 0 {
            let len = reader.offset();
            markers.push(u32::try_from(len).map_err(|_| ErrorKind::TooMuchText { len })?);
        }
        names.push(reader.read()?);
    }
    Ok(Found { names, markers, end: reader.offset() })
}

/// How offsets count: the way in which the addresses ascend, as every table's do.
pub(crate) fn how(stored: &[u8], layout: &Layout, place: u64, base: u64) -> AddressTable {
    let ways: &[AddressTable] = match (layout.addresses, layout.class) {
        (AddressTable::Absolute, _) => return AddressTable::Absolute,
        (way, _) if way.has_base() => &[AddressTable::BaseRelative, AddressTable::BaseRelativePercpu],
        (_, Class::Elf32) => &[AddressTable::Absolute32, AddressTable::PlaceRelative],
        _ => &[AddressTable::PlaceRelative],
    };
    // A single offset ascends either way: the upper half is that of distances below the base.
    let first = stored.first_chunk().map_or(0, |&bytes| layout.read_u32(bytes));
    let ways = ways.iter().copied();
    let ascending = |way: &AddressTable| {
        let layout = Layout { addresses: *way, ..*layout };
        let suits = *way != AddressTable::BaseRelative || first < 1 << 31;
        suits && addresses::decode(stored, &layout, place, base).map(|(address, _)| address).is_sorted()
    };
    ways.clone().find(ascending).unwrap_or(layout.addresses)
}
