//! Where the arrays of a kernel without symbols lie, by what they look like.
//!
//! The idea: one array has a shape that nothing else has. `kallsyms_token_index` is 256 ascending 16-bit numbers from 0,
//! and the strings that they point at lie in front of it, each ended by a NUL. All else follows from its neighbours,
//! and each step is checked by the data before the next: the markers say where names start, the names end where the
//! markers begin, addresses ascend, sequence numbers give names in order.
//!
//! Phases: tokens ([`Tokens`]), count with names and markers ([`find_names`]), addresses with sequence numbers
//! ([`find_addresses`]).
//!
//! Limits: [`MAX_STEPS`] places are tried in all; between two arrays may lie [`MAX_SLACK`] bytes that are not used.

use std::ops::Range;

use kbt_elf::{Class, Endianness};

use crate::addresses;
use crate::error::{Error, ErrorKind};
use crate::layout::{AddressTable, Array, ArrayOrder, Layout};
use crate::locate::{Located, Slot};
use crate::names::{MARKER_STEP, NamesReader};
use crate::seqs;
use crate::table::how;
use crate::token::TokenTable;

/// Bytes behind an array that a table with reserves may leave free.
const MAX_SLACK: usize = 4096;
/// Places that are tried for one array after the other.
const MAX_STEPS: usize = 1 << 26;
/// What a name costs where sequence numbers are looked for, beside an address.
const SEQS_STEPS: usize = 64;
/// Bytes that a name takes at most: two for its length and a code for each byte and for the letter.
const MAX_NAME: usize = 514;
/// Digits, letters and the like that the names of any kernel have, at the least.
const MIN_BYTES: usize = 8;
/// Bytes between markers and tokens: the sequence numbers of 2^24 symbols.
const MAX_SEQS: usize = 3 * seqs::MAX_SYMBOLS + MAX_SLACK;

/// Finds the table in the bytes of an image. Where it should have sequence numbers and those are wrong, it has none
/// ([`lacks_seqs`]). `address_of` gives the address of a byte of it; `class` is how wide
/// addresses are, where that is known: place-relative tables do not tell, and are taken for those of 64 bits unless the
/// image lies in the upper half of 32.
///
/// # Errors
///
/// No table, or none of a layout that is known.
pub fn search(data: &[u8], class: Option<Class>, address_of: impl Fn(u64) -> u64) -> Result<Located, Error> {
    let mut steps = 0;
    for endian in [Endianness::Little, Endianness::Big] {
        let image = Image { data, endian, class };
        let mut from = 0;
        while let Some(tokens) = Tokens::find(&image, from) {
            from = tokens.index + 4;
            let Some(names) = find_names(&image, &tokens, &mut steps) else { continue };
            if let Some(located) = find_addresses(&image, &tokens, &names, &address_of, &mut steps) {
                return Ok(located);
            }
        }
    }
    Err(ErrorKind::NoTable.into())
}

/// The bytes, in one byte order.
#[derive(Clone, Copy)]
struct Image<'data> {
    data: &'data [u8],
    endian: Endianness,
    class: Option<Class>,
}

impl<'data> Image<'data> {
    fn layout(&self, class: Class, addresses: AddressTable, order: ArrayOrder) -> Layout {
        Layout { class, endian: self.endian, addresses, order, alignment: 4, long_lengths: true, seqs: false }
    }

    fn any_layout(&self) -> Layout {
        self.layout(Class::Elf64, AddressTable::BaseRelative, ArrayOrder::CountFirst)
    }

    fn u16(&self, at: usize) -> Option<u16> {
        let bytes = *self.data.get(at..)?.first_chunk()?;
        Some(self.any_layout().read_u16(bytes))
    }

    fn u32(&self, at: usize) -> Option<usize> {
        let bytes = *self.data.get(at..)?.first_chunk()?;
        usize::try_from(self.any_layout().read_u32(bytes)).ok()
    }

    fn bytes(&self, at: usize, size: usize) -> Option<&'data [u8]> {
        self.data.get(at..at.checked_add(size)?)
    }
}

/// The two arrays of tokens.
struct Tokens {
    table: usize,
    index: usize,
    strings: TokenTable,
}

impl Tokens {
    /// The first from a place on.
    fn find(image: &Image<'_>, from: usize) -> Option<Self> {
        let end = image.data.len().checked_sub(512)?;
        (from..=end).step_by(4).find_map(|index| Self::at(image, index))
    }

    fn at(image: &Image<'_>, index: usize) -> Option<Self> {
        // Most places end here: a half of 0, then one that is not.
        if image.u16(index)? != 0 || image.u16(index + 2)? == 0 {
            return None;
        }
        let starts: Vec<u16> = (0..256).map_while(|code| image.u16(index + 2 * code)).collect();
        let ascend = starts.windows(2).all(|pair| pair[0] < pair[1]);
        let last = usize::from(*starts.last().filter(|_| ascend && starts.len() == 256)?);
        let end = index.checked_sub(last)?;
        let bytes = image.bytes(index, 512)?;
        // The last string and what fills up to the index.
        let tables = (end.saturating_sub(MAX_NAME + MAX_SLACK)..end).rev().filter(|table| table % 4 == 0);
        for table in tables {
            let ends = |start: &u16| image.data.get(table + usize::from(*start) - 1) == Some(&0);
            if !starts.iter().skip(1).all(ends) {
                continue;
            }
            let room = image.data.get(table..index)?;
            let strings = TokenTable::parse(room, bytes, &image.any_layout()).ok().filter(are_tokens);
            if let Some(strings) = strings {
                return Some(Self { table, index, strings });
            }
        }
        None
    }
}

/// Whether these strings can be tokens of names: bytes that stand for themselves, and nothing that no name has.
fn are_tokens(strings: &TokenTable) -> bool {
    let own = (b'0'..=b'z').filter(|&byte| strings.string(byte) == [byte]).count();
    own >= MIN_BYTES && !strings.bytes().iter().any(|&byte| (1..=b' ').contains(&byte))
}

/// The count, the names and their markers.
#[derive(Debug, Clone, Copy)]
struct Names {
    count: usize,
    count_at: usize,
    names: usize,
    names_end: usize,
    markers: usize,
    long_lengths: bool,
}

fn find_names(image: &Image<'_>, tokens: &Tokens, steps: &mut usize) -> Option<Names> {
    let lowest = tokens.table.saturating_sub(MAX_SEQS);
    let mut at = tokens.table.checked_sub(4)?;
    // Two markers and more: a 0 and what ascends from it in steps that names can take.
    while at > lowest && *steps < MAX_STEPS {
        *steps += 1;
        if image.u32(at) == Some(0) {
            let run = marker_run(image, at, tokens.table);
            // What lies behind the last may look like one more.
            for count in (run.len().saturating_sub(4)..=run.len()).rev().filter(|&count| count >= 2) {
                if let Some(names) = names_before(image, tokens, at, run.get(..count)?, steps) {
                    return Some(names);
                }
            }
        }
        at -= 4;
    }
    // One marker, which is 0: the count is at most 256, and all of it is near.
    let lowest = tokens.table.saturating_sub(MARKER_STEP * (MAX_NAME + 3) + 3 * MAX_SLACK);
    let starts = (lowest..tokens.table).rev().filter(|start| start % 4 == 0);
    starts.into_iter().find_map(|start| {
        if *steps >= MAX_STEPS {
            return None;
        }
        let names = names_at(image, tokens, start, &[0], steps)?;
        let gap = tokens.table.checked_sub(names.markers + 4)?;
        (gap <= 3 * names.count + MAX_SLACK).then_some(names)
    })
}

/// Numbers that may be markers, from a 0 on.
fn marker_run(image: &Image<'_>, at: usize, end: usize) -> Vec<usize> {
    let mut run = vec![0];
    let mut last = 0;
    for place in (at + 4..end).step_by(4) {
        let Some(next) = image.u32(place) else { break };
        let fits = next
            .checked_sub(last)
            .is_some_and(|step| (2 * MARKER_STEP..=MAX_NAME * MARKER_STEP).contains(&step));
        if !fits {
            break;
        }
        run.push(next);
        last = next;
    }
    run
}

/// Names that end in front of these markers.
fn names_before(
    image: &Image<'_>,
    tokens: &Tokens,
    markers_at: usize,
    markers: &[usize],
    steps: &mut usize,
) -> Option<Names> {
    let last = *markers.last()?;
    let highest = markers_at.checked_sub(last)?;
    let lowest = highest.saturating_sub(MARKER_STEP * MAX_NAME + MAX_SLACK);
    for start in (lowest..highest).rev().filter(|start| start % 4 == 0) {
        *steps += 1;
        if *steps >= MAX_STEPS {
            return None;
        }
        let names =
            names_at(image, tokens, start, markers, steps).filter(|names| names.names_end <= markers_at);
        if let Some(names) = names {
            return Some(Names { markers: markers_at, ..names });
        }
    }
    None
}

/// Names at a place: the count in front of it, as many markers as that asks for, and names that start where those say.
fn names_at(
    image: &Image<'_>,
    tokens: &Tokens,
    start: usize,
    markers: &[usize],
    steps: &mut usize,
) -> Option<Names> {
    let fits = |count: &usize| count.div_ceil(MARKER_STEP) == markers.len();
    let near = start.checked_sub(4)?;
    let count = image.u32(near)?;
    let (count, count_at) = match fits(&count) {
        true => (count, near),
        // A count that a word is kept free for.
        false if count == 0 => (image.u32(near.checked_sub(4)?).filter(fits)?, near - 4),
        false => return None,
    };
    [true, false].into_iter().find_map(|long_lengths| {
        let layout = Layout { long_lengths, ..image.any_layout() };
        let mut reader = NamesReader::new(image.data.get(start..)?, &layout);
        for index in 0..count {
            *steps += 1;
            if index % MARKER_STEP == 0 && markers.get(index / MARKER_STEP) != Some(&reader.offset()) {
                return None;
            }
            let name = reader.read().ok().filter(|name| name.len() < MAX_NAME)?;
            // Each begins with nm's letter.
            let letter = name.first().and_then(|&code| tokens.strings.string(code).first());
            letter.filter(|letter| letter.is_ascii_alphabetic() || matches!(letter, b'?' | b'-'))?;
        }
        let names_end = start + reader.offset();
        let markers = names_end.next_multiple_of(4);
        // A table of one marker is aligned by four or by eight, and may have reserves.
        let markers = (markers..=markers + MAX_SLACK).step_by(4).find(|&at| image.u32(at) == Some(0));
        Some(Names { count, count_at, names: start, names_end, markers: markers?, long_lengths })
    })
}

/// A way in which addresses may lie.
struct Way {
    addresses: AddressTable,
    class: Class,
    order: ArrayOrder,
    /// Bytes behind the addresses that are not used.
    slack: usize,
}

fn find_addresses(
    image: &Image<'_>,
    tokens: &Tokens,
    names: &Names,
    address_of: &impl Fn(u64) -> u64,
    steps: &mut usize,
) -> Option<Located> {
    use AddressTable::{Absolute, Absolute32, BaseRelative, PlaceRelative};
    use ArrayOrder::{AddressesFirst, CountFirst};
    const WAYS: [(ArrayOrder, AddressTable, Class); 10] = [
        (AddressesFirst, BaseRelative, Class::Elf64),
        (AddressesFirst, BaseRelative, Class::Elf32),
        (CountFirst, BaseRelative, Class::Elf64),
        (CountFirst, BaseRelative, Class::Elf32),
        (CountFirst, PlaceRelative, Class::Elf64),
        (CountFirst, Absolute32, Class::Elf32),
        (AddressesFirst, Absolute, Class::Elf64),
        (AddressesFirst, Absolute, Class::Elf32),
        (CountFirst, Absolute, Class::Elf64),
        (CountFirst, Absolute, Class::Elf32),
    ];
    let mut seqs = Seqs::of(image, names)?;
    // A table that should have sequence numbers, and has none that are right.
    let mut lame: Option<Located> = None;
    // First without reserves: with them, more places look like addresses.
    for slack in (0..=MAX_SLACK).step_by(4) {
        if *steps >= MAX_STEPS {
            break;
        }
        // Of a place-relative table the class is not known before.
        let may_be = |&(_, addresses, class): &(_, _, Class)| {
            addresses == PlaceRelative || image.class.is_none_or(|known| known == class)
        };
        let found = WAYS.into_iter().filter(may_be).filter_map(|(order, addresses, class)| {
            place(
                image,
                tokens,
                (names, &mut seqs),
                &Way { addresses, class, order, slack },
                address_of,
                steps,
            )
        });
        let found: Vec<Located> = found.collect();
        // A way whose sequence numbers were found is right; without them, the first that fits.
        let is_whole = |found: &&Located| !lacks_seqs(&found.layout);
        let best = found.iter().find(|located| located.layout.seqs).or(found.iter().find(is_whole));
        if let Some(best) = best {
            return Some(best.clone());
        }
        lame = lame.or(found.into_iter().next());
    }
    lame
}

/// Whether a kernel with a table of this layout has sequence numbers, which were not found.
pub fn lacks_seqs(layout: &Layout) -> bool {
    layout.order == ArrayOrder::CountFirst && !layout.seqs
}

/// The table in one way, if the data bear it out.
fn place(
    image: &Image<'_>,
    tokens: &Tokens,
    (names, seqs): (&Names, &mut Seqs<'_>),
    way: &Way,
    address_of: &impl Fn(u64) -> u64,
    steps: &mut usize,
) -> Option<Located> {
    let mut layout = image.layout(way.class, way.addresses, way.order);
    layout.long_lengths = names.long_lengths;
    let word = layout.word();
    let entry = if way.addresses == AddressTable::Absolute { word } else { 4 };
    let align = if matches!(way.addresses, AddressTable::PlaceRelative) { 4 } else { word };
    layout.alignment = u32::try_from(align).ok()?;
    let size = names.count.checked_mul(entry)?;
    let base_size = if way.addresses.has_base() { word } else { 0 };
    let full = size.next_multiple_of(align);
    if !way.slack.is_multiple_of(align) {
        return None;
    }
    let (start, base_at) = match way.order {
        ArrayOrder::AddressesFirst => {
            let base_at = names.count_at.checked_sub(base_size)?;
            (base_at.checked_sub(full)?.checked_sub(way.slack)?, base_at)
        }
        ArrayOrder::CountFirst => {
            let start = (tokens.index + 512).next_multiple_of(align);
            (start, start.checked_add(full)?.checked_add(way.slack)?)
        }
    };
    let base = if base_size > 0 { layout.read_word(image.data.get(base_at..)?)? } else { 0 };
    if !is_base(base, way.class) {
        return None;
    }
    let stored = image.bytes(start, size)?;
    *steps = steps.saturating_add(names.count);
    let at = address_of(start as u64);
    let addresses = how(stored, &layout, at, base);
    let settled = Layout { addresses, ..layout };
    if !ascends(stored, &settled, at, base) || !are_addresses(stored, &settled) {
        return None;
    }
    let seqs_from = match way.order {
        ArrayOrder::AddressesFirst => names.markers + 4 * names.count.div_ceil(MARKER_STEP),
        ArrayOrder::CountFirst => base_at + base_size,
    };
    *steps = steps.saturating_add(names.count.saturating_mul(SEQS_STEPS));
    let seqs = seqs.find(image, tokens, seqs_from.next_multiple_of(align), align);
    // An address that is none reads as a base, where a reserve of zeros is.
    if way.order == ArrayOrder::CountFirst && seqs.is_none() && base_size > 0 && base == 0 {
        return None;
    }
    let upper_half = 1 << 31..=u64::from(u32::MAX);
    let class = match (way.addresses, image.class) {
        (AddressTable::PlaceRelative, Some(class)) => class,
        (AddressTable::PlaceRelative, None) if upper_half.contains(&address_of(0)) => Class::Elf32,
        _ => way.class,
    };
    let layout = Layout { class, seqs: seqs.is_some(), ..settled };
    Some(located(image, tokens, names, layout, (start, base_at, seqs), address_of))
}

/// Whether it may be an address of a kernel: those of 64 bits lie at one of few ends.
fn is_base(base: u64, class: Class) -> bool {
    // ppc64, LoongArch and MIPS have theirs at the start of a region.
    let is_high = matches!(base >> 32, 0xc000_0000 | 0x9000_0000 | 0xa800_0000);
    class == Class::Elf32 || matches!(base >> 48, 0 | 0xffff) || is_high
}

/// Whether words may be addresses of a kernel.
fn are_addresses(stored: &[u8], layout: &Layout) -> bool {
    let mut words = addresses::decode(stored, layout, 0, 0);
    layout.addresses != AddressTable::Absolute || words.all(|(address, _)| is_base(address, layout.class))
}

/// Whether these are addresses: ascending, and not just zeros.
fn ascends(stored: &[u8], layout: &Layout, place: u64, base: u64) -> bool {
    let (mut last, mut changes, mut count) = (None, 0, 0);
    for (address, absolute) in addresses::decode(stored, layout, place, base) {
        if last.is_some_and(|last| last > address) && !absolute {
            return false;
        }
        changes += usize::from(last != Some(address));
        count += 1;
        last = Some(address);
    }
    changes > count / 8
}

/// What is known of the sequence numbers of some names.
struct Seqs<'data> {
    /// The codes of every name.
    codes: Vec<&'data [u8]>,
    /// Where there are none at places aligned by 4 and by 8: of two ways of addresses most look at the same places.
    barren: [Range<usize>; 2],
}

impl<'data> Seqs<'data> {
    fn of(image: &Image<'data>, names: &Names) -> Option<Self> {
        let layout = Layout { long_lengths: names.long_lengths, ..image.any_layout() };
        let mut reader = NamesReader::new(image.data.get(names.names..)?, &layout);
        let codes: Option<_> = (0..names.count).map(|_| reader.read().ok()).collect();
        Some(Self { codes: codes?, barren: [0..0, 0..0] })
    }

    /// The first of few places where sequence numbers give names in order.
    fn find(&mut self, image: &Image<'_>, tokens: &Tokens, from: usize, align: usize) -> Option<usize> {
        let [narrow, wide] = &mut self.barren;
        let barren = if align == 4 { narrow } else { wide };
        let end = from + MAX_SLACK + align;
        let start = if barren.contains(&from) { barren.end } else { from };
        let (codes, count) = (&self.codes, self.codes.len());
        let found = (start..end).step_by(align).find(|&at| {
            let Some(bytes) = image.bytes(at, 3 * count) else { return false };
            // Names in order are a strong sign: a few suffice.
            let few = seqs::decode(bytes).take(200);
            give_order(few, tokens, codes) && is_permutation(seqs::decode(bytes), count)
        });
        if found.is_none() {
            *barren = if start == from { from..end } else { barren.start..end.max(barren.end) };
        }
        found
    }
}

/// Whether no two neighbours among these numbers are the same or of names that descend. Of most places two or three tell.
fn give_order(mut numbers: impl Iterator<Item = u32>, tokens: &Tokens, codes: &[&[u8]]) -> bool {
    let (mut last, mut last_name, mut name) = (None, Vec::new(), Vec::new());
    numbers.all(|number| {
        let Some(codes) = codes.get(number as usize).filter(|_| last != Some(number)) else { return false };
        name.clear();
        tokens.strings.expand(codes, &mut name);
        // The first is the letter.
        let is_in_order = last.is_none() || last_name.get(1..) <= name.get(1..);
        last = Some(number);
        std::mem::swap(&mut last_name, &mut name);
        is_in_order
    })
}

/// Whether every number below `count` is there.
fn is_permutation(numbers: impl Iterator<Item = u32>, count: usize) -> bool {
    let mut seen = vec![false; count];
    numbers.into_iter().for_each(|number| {
        if let Some(seen) = seen.get_mut(number as usize) {
            *seen = true;
        }
    });
    seen.into_iter().all(|seen| seen)
}

fn located(
    image: &Image<'_>,
    tokens: &Tokens,
    names: &Names,
    layout: Layout,
    (addresses, base, seqs): (usize, usize, Option<usize>),
    address_of: &impl Fn(u64) -> u64,
) -> Located {
    let mut places = vec![
        (layout.addresses.array(), addresses),
        (Array::NumSyms, names.count_at),
        (Array::Names, names.names),
        (Array::Markers, names.markers),
        (Array::TokenTable, tokens.table),
        (Array::TokenIndex, tokens.index),
    ];
    places.extend(layout.addresses.has_base().then_some((Array::RelativeBase, base)));
    places.extend(seqs.map(|seqs| (Array::SeqsOfNames, seqs)));
    places.sort_by_key(|&(_, at)| at);
    let ends = places.iter().skip(1).map(|&(_, at)| at).chain([image.data.len()]);
    let slots = places.iter().zip(ends).map(|(&(array, at), end)| Slot {
        array,
        offset: at as u64,
        address: address_of(at as u64),
        room: (end - at) as u64,
        stated: 0,
    });
    Located { slots: slots.collect(), layout, text: None }
}
