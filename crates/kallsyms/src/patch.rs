//! The table after the link: the arrays of a linked kernel, written into the room that it has for them.
//!
//! Phases: the symbols are read once, filtered and sorted as the kernel's own generator would; names are compressed with
//! the tokens that a pad has learned (most often they wait compressed: [`crate::waiting`]), or with new ones; the arrays are made for the addresses where they lie; each is held
//! against its room. Only if all fit are there edits; where one does not, the error has the bytes that are missing. What
//! an array does not need of its room becomes zeros, but for the base behind the offsets ([`push_decoy`]).
//!
//! `kallsyms_relative_base` is left alone: the linker has filled it by a relocation, which also moves it at boot. The
//! offsets are counted from what it holds. No symbol, no section and no size changes.

use std::fmt;

use kbt_elf::{Edit, Endianness, Image, ReadRef, Section, SectionTable, section_flag, section_type};

use crate::compression::learn;
use crate::elf_symbols::list_symbols;
use crate::error::{Error, ErrorKind};
use crate::kernel::Kernel;
use crate::layout::{AddressTable, Array, ArrayOrder, Class, Layout};
use crate::locate::{Located, Slot};
use crate::names::Names;
use crate::optimal::Optimal;
use crate::pad_file::PadFile;
use crate::select::{Choice, Selection, select_kept};
use crate::symbol::{SymbolEntry, sort_as_nm};
use crate::table::how;
use crate::tables::{Origin, Tables};
use crate::token::TokenTable;
use crate::waiting::{Encoded, WaitingNames};

/// How to make the table.
#[derive(Debug, Clone, Copy, Default)]
pub struct PatchOptions<'a> {
    /// What the pad has recorded.
    pub record: Option<&'a PadFile>,
    /// Every symbol or those of the text, where no record says it; else all where there is room for all.
    pub all_symbols: Option<bool>,
    /// Whose habits, where no record says it; else what the arrays tell.
    pub kernel: Option<Kernel>,
    /// Learn new tokens from the linked symbols, as the kernel's own generator does.
    pub relearn: bool,
    /// Compress each name, its letter included, into as few codes as there are.
    pub optimal: bool,
    /// Sequence numbers by names without `.llvm.` and what follows it (`--lto-clang` of 6.1 to 6.9), where no record says it.
    pub cut_names: bool,
    /// Whether [`Patch::map`] is wanted.
    pub map: bool,
}

/// What makes an image's table the one of its symbols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch<'a> {
    /// The bytes to write, in the order of their places.
    pub edits: Vec<Edit>,
    /// How many symbols the table has.
    pub count: usize,
    /// What each array needs and has, in the order of the layout.
    pub sizes: Vec<Size>,
    /// The symbols of System.map, in nm's order; none where they were not asked for.
    pub map: Vec<SymbolEntry<'a>>,
    /// Names that the kernel cannot hold.
    pub too_long: Vec<&'a [u8]>,
}

/// What an array needs and has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Which.
    pub array: Array,
    /// Bytes that it takes.
    pub needed: u64,
    /// Bytes that there are.
    pub room: u64,
}

/// Why there is no patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatchError {
    /// The image or the record.
    Table(Error),
    /// The arrays that do not fit, with the bytes that each is short of.
    TooSmall(Vec<(Array, u64)>),
}

impl<E: Into<Error>> From<E> for PatchError {
    fn from(error: E) -> Self {
        Self::Table(error.into())
    }
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(error) => error.fmt(f),
            Self::TooSmall(missing) => {
                for (index, (array, bytes)) in missing.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(f, "{separator}{bytes} bytes missing in {array}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for PatchError {}

/// Makes the patch of the image in which [`Located::by_symbols`] has found the table.
///
/// # Errors
///
/// An image without symbols or without room for a table, one that the record does not fit, symbols that the layout cannot
/// say, and a table that is larger than its room.
pub fn patch<'data, R: ReadRef<'data>>(
    image: &Image<R>,
    located: &Located,
    options: PatchOptions<'_>,
) -> Result<Patch<'data>, PatchError> {
    let room = Room::of(image, located)?;
    let (kernel, layout) = match options.record {
        Some(record) => room.recorded(record)?,
        None => room.detected(options.kernel)?,
    };
    let is_mapped = |kind: u8, name: &[u8]| !kernel.drops_from_map(kind, name);
    let is_fed = kernel.is_fed_by_map();
    // Names are looked at where they are found: later they are far apart in memory.
    let is_wanted = |kind: u8, name: &[u8]| {
        (!is_fed || is_mapped(kind, name)) && (options.map || !kernel.ignores(kind, name))
    };
    let mut source = list_symbols(image, is_wanted)?;
    let tokens = match options.record {
        _ if options.relearn => None,
        Some(record) => Some(record.tokens.clone()),
        None => room.waiting_tokens(&layout),
    };
    let waiting = tokens.as_ref().filter(|_| !options.optimal);
    let waiting =
        waiting.map(|tokens| room.waiting_names(tokens, &layout, source.len())).transpose()?.flatten();
    if let Some(waiting) = &waiting {
        waiting.find(&mut source);
    }
    sort_as_nm(&mut source);
    let is_kept = |symbol: &SymbolEntry<'_>| !options.map || !kernel.ignores(symbol.kind, symbol.name);
    let mapped =
        source.iter().filter(|symbol| options.map && (is_fed || is_mapped(symbol.kind, symbol.name)));
    let map = mapped.copied().collect();
    let base = room.base(&layout)?.or_else(|| address_of(&source, b"_text")).unwrap_or(0);
    let percpu = address_of(&source, b"__per_cpu_start").filter(|start| *start < base);
    let layout = match (layout.addresses, percpu) {
        (AddressTable::BaseRelative, Some(_)) => {
            Layout { addresses: AddressTable::BaseRelativePercpu, ..layout }
        }
        _ => layout,
    };
    let absolute_percpu = layout.addresses == AddressTable::BaseRelativePercpu;
    let choice = |all_symbols| Choice { all_symbols, absolute_percpu };
    let selection = match options.record.map(|record| record.all_symbols).or(options.all_symbols) {
        Some(all_symbols) => select_kept(source, kernel, choice(all_symbols), is_kept)?,
        None => {
            let all = select_kept(source.iter().copied(), kernel, choice(true), is_kept)?;
            let fits = room.holds(all.symbols.len(), &layout);
            if fits { all } else { select_kept(source, kernel, choice(false), is_kept)? }
        }
    };
    let cut_names = options.record.map_or(options.cut_names, |record| record.cut_names);
    let origin = Origin { text: selection.text, base, cut_names };
    let make = |tokens| -> Result<_, PatchError> {
        let size = room.slot(Array::Names)?.room;
        let encoded = match &waiting {
            Some(waiting) => waiting.encode(&selection.symbols, usize::try_from(size).unwrap_or(0))?,
            None => None,
        };
        let Spelled { tokens, names, order } = match (tokens, encoded) {
            (Some(tokens), Some(Encoded { names, order })) => Spelled { tokens, names, order: Some(order) },
            (tokens, _) => room.spell(&selection.symbols, &layout, tokens, options.optimal)?,
        };
        let tables = Tables::of_names(&selection.symbols, &tokens, names, order, layout, origin)?;
        room.edits(tables, selection.text, base)
    };
    let is_learned = tokens.is_none() && !options.relearn;
    let (edits, sizes) = match make(tokens) {
        // The table of a pad that was patched has tokens that were learned otherwise.
        Err(error @ PatchError::TooSmall(_)) if is_learned => match room.tokens(&layout) {
            Some(tokens) => make(Some(tokens)).map_err(|_| error)?,
            None => return Err(error),
        },
        made => made?,
    };
    let Selection { symbols, too_long, .. } = selection;
    Ok(Patch { edits, count: symbols.len(), sizes, map, too_long })
}

/// Names as a table has them.
struct Spelled {
    tokens: TokenTable,
    names: Names,
    /// The symbols in the order of their names, where it is known.
    order: Option<Vec<u32>>,
}

fn address_of(symbols: &[SymbolEntry<'_>], name: &[u8]) -> Option<u64> {
    symbols.iter().find(|symbol| symbol.name == name).map(|symbol| symbol.address)
}

/// Puts the base behind the last offset as well, where it would be if there were no reserve, if there is room: decoders that
/// guess look for it there, and none who goes by symbols ever looks.
fn push_decoy(offsets: &mut Vec<u8>, room: usize, layout: &Layout, base: u64) {
    let place = offsets.len().next_multiple_of(layout.word());
    let is_wanted = layout.addresses.has_base() && layout.order == ArrayOrder::CountFirst;
    if is_wanted && place + layout.word() <= room {
        offsets.resize(place, 0);
        layout.push_word(offsets, base);
    }
}

/// Relocations that are applied at boot.
fn loaded_relocations(sections: &SectionTable<'_>) -> impl Iterator<Item = Section> {
    sections
        .iter()
        .filter(|section| section.kind == section_type::RELA && section.flags & section_flag::ALLOC != 0)
}

/// The ranges of a file, offset and size, that [`patch`] reads beside section headers and symbols. To be asked for again
/// when they were read: what is in them may ask for more.
///
/// # Errors
///
/// Section headers that cannot be read.
pub fn wanted<'data, R: ReadRef<'data>>(
    image: &Image<R>,
    located: &Located,
) -> Result<Vec<(u64, u64)>, Error> {
    let mut ranges: Vec<(u64, u64)> =
        own_slots(image, located).iter().map(|slot| (slot.offset, slot.room)).collect();
    let base = located.slot(Array::RelativeBase).ok().and_then(|slot| image.bytes_at(slot.offset, 8));
    if base == Some(&[0; 8]) {
        ranges.extend(loaded_relocations(&image.sections()?).map(|section| (section.offset, section.size)));
    }
    Ok(ranges)
}

/// The arrays with the bytes that are theirs. What follows the last may have no symbol: it is as long as it says, or as
/// its table is now (nothing, as long as the count was not read).
fn own_slots<'data, R: ReadRef<'data>>(image: &Image<R>, located: &Located) -> Vec<Slot> {
    let mut slots = located.slots.clone();
    let count = located.slot(Array::NumSyms).ok().and_then(|slot| image.bytes_at(slot.offset, 4));
    let count = count.and_then(<[u8]>::first_chunk).map_or(0, |bytes| located.layout.read_u32(*bytes));
    if let Some(last) = slots.last_mut().filter(|last| last.stated == 0) {
        let own = located.size(last, usize::try_from(count).unwrap_or(usize::MAX));
        last.room = last.room.min(own);
    }
    slots
}

/// Refuses arrays that would be written over something else: headers, or sections beside their own.
fn alone<'data, R: ReadRef<'data>>(image: &Image<R>, slots: &[Slot]) -> Result<(), Error> {
    let sections = image.sections()?;
    let header = image.header();
    let headers = header.section_table_range(sections.len() as u64);
    let fixed = [("the file header", (0, header.class.header_size())), ("the section headers", headers)];
    for slot in slots {
        let meets = |(offset, size): (u64, u64)| {
            offset < slot.offset.saturating_add(slot.room) && slot.offset < offset.saturating_add(size)
        };
        let in_file = |section: &Section| section.kind != section_type::NOBITS && section.kind != 0;
        let mut sections =
            sections.iter().filter(|section| in_file(section) && meets((section.offset, section.size)));
        // The first of two may be the other one.
        let (first, second) = (sections.next(), sections.next());
        let other = match fixed.iter().find(|(_, range)| meets(*range)) {
            Some((name, _)) => Some((*name).to_owned()),
            None => first.zip(second).map(|(first, second)| {
                let address = |section: &Section| slot.address.wrapping_sub(section.address) < section.size;
                let other = if address(&first) { second } else { first };
                let name = image.sections().ok().and_then(|sections| sections.name(&other));
                format!("section {}", String::from_utf8_lossy(name.unwrap_or_default()))
            }),
        };
        if let Some(other) = other {
            return Err(Error::at(ErrorKind::Overlap { array: slot.array, other }, slot.offset));
        }
    }
    Ok(())
}

/// An image and the room for each array in it.
struct Room<'a, R> {
    image: &'a Image<R>,
    located: &'a Located,
    /// The arrays with the bytes that are theirs.
    slots: Vec<Slot>,
}

impl<'a, 'data, R: ReadRef<'data>> Room<'a, R> {
    fn of(image: &'a Image<R>, located: &'a Located) -> Result<Self, Error> {
        let slots = own_slots(image, located);
        for slot in &slots {
            let whole = image.bytes_at(slot.offset, slot.room);
            whole.ok_or(Error::at(ErrorKind::ArrayOutside { array: slot.array }, slot.offset))?;
        }
        alone(image, &slots)?;
        Ok(Self { image, located, slots })
    }

    /// The record's kernel and layout, if the image is the one that was linked with its object.
    fn recorded(&self, record: &PadFile) -> Result<(Kernel, Layout), Error> {
        let header = self.image.header();
        if (header.class, header.endian) != (record.layout.class, record.layout.endian) {
            return Err(ErrorKind::OtherMachine.into());
        }
        for &(array, recorded) in &record.slots {
            let slot = self.slot(array)?;
            if slot.room != recorded {
                return Err(ErrorKind::OtherSize { array, found: slot.room, recorded }.into());
            }
        }
        let tokens = record.tokens.bytes();
        if !self.bytes(self.slot(Array::TokenTable)?).starts_with(tokens) {
            return Err(ErrorKind::OtherTokens.into());
        }
        Ok((record.kernel, record.layout))
    }

    /// What the arrays tell.
    fn detected(&self, kernel: Option<Kernel>) -> Result<(Kernel, Layout), Error> {
        let mut found = self.located.layout;
        if found.class == Class::Elf32 && found.addresses == AddressTable::PlaceRelative {
            found.addresses = self.detected_addresses()?;
        }
        let detected = match (found.addresses, found.order, found.seqs) {
            (AddressTable::PlaceRelative | AddressTable::Absolute32, ..) => Kernel::V7_0,
            (_, ArrayOrder::AddressesFirst, false) => Kernel::V5_10,
            (_, ArrayOrder::AddressesFirst, true) => Kernel::V6_1,
            (_, ArrayOrder::CountFirst, _) => Kernel::V6_12,
        };
        let kernel = kernel.unwrap_or(detected);
        let long_lengths = found.long_lengths || kernel > Kernel::V5_10;
        Ok((kernel, Layout { long_lengths, ..found }))
    }

    /// How the offsets count that are there now, where there is no base and 32 bits leave two ways.
    fn detected_addresses(&self) -> Result<AddressTable, Error> {
        let (slot, layout) = (self.slot(AddressTable::PlaceRelative.array())?, &self.located.layout);
        let count =
            self.bytes(self.slot(Array::NumSyms)?).first_chunk().map_or(0, |count| layout.read_u32(*count));
        let len = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(4);
        match self.bytes(slot).get(..len) {
            Some(stored) if len > 0 => Ok(how(stored, layout, slot.address, 0)),
            _ => Err(ErrorKind::UnknownAddresses.into()),
        }
    }

    fn slot(&self, array: Array) -> Result<Slot, Error> {
        let slot = self.slots.iter().copied().find(|slot| slot.array == array);
        slot.ok_or_else(|| ErrorKind::MissingArray { array }.into())
    }

    /// What an array's room holds now.
    fn bytes(&self, slot: Slot) -> &'data [u8] {
        self.image.bytes_at(slot.offset, slot.room).unwrap_or_default()
    }

    /// What `kallsyms_relative_base` holds: in place, or, where it is zero there, in the relocation that fills it at
    /// boot. `None` where the layout has no base.
    fn base(&self, layout: &Layout) -> Result<Option<u64>, Error> {
        if !layout.addresses.has_base() {
            return Ok(None);
        }
        let slot = self.slot(Array::RelativeBase)?;
        let in_place = layout.read_word(self.bytes(slot)).unwrap_or(0);
        if in_place != 0 || layout.class == Class::Elf32 {
            return Ok(Some(in_place).filter(|base| *base != 0));
        }
        Ok(self.addend_at(&self.image.sections()?, slot.address, layout.endian))
    }

    /// The addend of the relocation at an address, of those that are loaded with the kernel.
    fn addend_at(&self, sections: &SectionTable<'data>, address: u64, endian: Endianness) -> Option<u64> {
        const ENTRY: usize = 24;
        let number = |bytes: &[u8]| {
            let bytes = *bytes.first_chunk::<8>()?;
            Some(if endian == Endianness::Big {
                u64::from_be_bytes(bytes)
            } else {
                u64::from_le_bytes(bytes)
            })
        };
        loaded_relocations(sections).find_map(|table| {
            let mut entries = self.image.data(&table).ok()?.chunks_exact(ENTRY);
            let entry = entries.find(|entry| number(entry) == Some(address))?;
            number(entry.get(16..)?)
        })
    }

    /// Whether there is room for so many symbols.
    fn holds(&self, count: usize, layout: &Layout) -> bool {
        let width = if layout.addresses == AddressTable::Absolute { layout.word() as u64 } else { 4 };
        let slot = self.slot(layout.addresses.array());
        slot.is_ok_and(|slot| slot.room / width >= count as u64)
    }

    /// These tokens, or learned ones, and the names compressed with them.
    fn spell(
        &self,
        symbols: &[SymbolEntry<'_>],
        layout: &Layout,
        tokens: Option<TokenTable>,
        optimal: bool,
    ) -> Result<Spelled, Error> {
        let compressed =
            |tokens, names| Ok(Spelled { names: Names::encode(&names, layout)?, tokens, order: None });
        let Some(tokens) = tokens else {
            let learned = learn(symbols, &[])?;
            let names = match optimal {
                true => Optimal::new(&learned.tokens)?.compress(symbols)?,
                false => learned.names,
            };
            return compressed(learned.tokens, names);
        };
        if optimal {
            let names = Optimal::new(&tokens)?.compress(symbols)?;
            return compressed(tokens, names);
        }
        let names = Optimal::new(&tokens)?.compress_apart(symbols)?;
        compressed(tokens, names)
    }

    /// The names that a pad has left in their room, for so many symbols.
    fn waiting_names(
        &self,
        tokens: &TokenTable,
        layout: &Layout,
        symbols: usize,
    ) -> Result<Option<WaitingNames<'data>>, Error> {
        let names = self.bytes(self.slot(Array::Names)?);
        let hashes = self.bytes(self.slot(layout.addresses.array())?);
        Ok(WaitingNames::read(names, hashes, tokens, layout, symbols))
    }

    /// The tokens that are in the image.
    fn tokens(&self, layout: &Layout) -> Option<TokenTable> {
        let bytes = |array| self.slot(array).ok().map(|slot| self.bytes(slot));
        TokenTable::parse(bytes(Array::TokenTable)?, bytes(Array::TokenIndex)?, layout).ok()
    }

    /// The tokens of a table without symbols: a pad that waits for its patch.
    fn waiting_tokens(&self, layout: &Layout) -> Option<TokenTable> {
        let count = self.bytes(self.slot(Array::NumSyms).ok()?);
        // The empty table of a first link has only empty tokens.
        let is_learned = |tokens: &TokenTable| tokens.bytes().len() > 256;
        self.tokens(layout).filter(is_learned).filter(|_| count.first_chunk() == Some(&[0; 4]))
    }

    /// The bytes that change, if every array fits.
    fn edits(&self, tables: Tables, text: u64, base: u64) -> Result<(Vec<Edit>, Vec<Size>), PatchError> {
        let (mut edits, mut sizes, mut missing) = (Vec::new(), Vec::new(), Vec::new());
        let layout = tables.layout;
        for table in tables.arrays {
            let slot = self.slot(table.array)?;
            let needed = table.content.size(&layout) as u64;
            sizes.push(Size { array: table.array, needed, room: slot.room });
            if needed > slot.room {
                missing.push((table.array, needed - slot.room));
                continue;
            }
            if table.array == Array::RelativeBase {
                continue;
            }
            let mut bytes = table.content.link(text, slot.address, &layout)?;
            let old = self.bytes(slot);
            if table.array == Array::Offsets {
                push_decoy(&mut bytes, old.len(), &layout, base);
            }
            bytes.resize(old.len(), 0);
            if bytes != old {
                edits.push(Edit { offset: slot.offset, bytes });
            }
        }
        if !missing.is_empty() {
            return Err(PatchError::TooSmall(missing));
        }
        edits.sort_by_key(|edit| edit.offset);
        Ok((edits, sizes))
    }
}
