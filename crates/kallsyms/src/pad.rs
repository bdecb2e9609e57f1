//! The table before the link: an object that has room for any table that the linked kernel can need.
//!
//! The idea: a link moves symbols and turns type letters, but brings no name that was not known before
//! ([`Superset`]). So the tokens are learned before the link, from names without letters, and the bytes that the names
//! take are known to the last: each is its letter, a code of its own, and the shortest parse of its name, whatever the
//! letter and wherever the symbol. Every array then has exactly the size that the superset takes; after the link the
//! same encoding of the same names fits by construction, and fills the names but for the few symbols that the link
//! did not bring. No second learning is needed, which may come out longer.
//!
//! Phases: which kernel and layout (from the arrays that the objects leave undefined), the names, the tokens, the sizes,
//! the object. Tokens, their index and the names in alphabetical order are in the object already; the patch after the link
//! puts the names in their order and writes the rest.

use kbt_elf::{DefinedSymbol, ReadOnlySection, Relocation, RelocationKind, relocatable};

use crate::compression::learn;
use crate::error::{Error, ErrorKind};
use crate::kernel::Kernel;
use crate::layout::{AddressTable, Array, Class, Layout};
use crate::linker_script::LinkerScript;
use crate::names::{MARKER_STEP, Names};
use crate::optimal::Optimal;
use crate::pad_file::PadFile;
use crate::superset::{Reference, Superset};
use crate::symbol::SymbolEntry;
use crate::token::TokenTable;
use crate::waiting::{PLACEHOLDER, hash};

/// What cannot be seen in the objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PadOptions {
    /// Every symbol, not only those of the text (`CONFIG_KALLSYMS_ALL`).
    pub all_symbols: bool,
    /// Sequence numbers by names without `.llvm.` and what follows it (`--lto-clang` of 6.1 to 6.9).
    pub cut_names: bool,
    /// Bytes of reserve behind every array that grows with symbols or tokens.
    pub slack: u32,
    /// The kernel whose habits are meant; else the oldest that asks for the same arrays.
    pub kernel: Option<Kernel>,
    /// Whether 32-bit kernels without a base keep distances from each entry's place (`CONFIG_RELOCATABLE`).
    pub place_relative: bool,
}

/// An object with room for the table, and what a patch of the linked kernel wants to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pad {
    /// A relocatable ELF object, to be linked into the kernel.
    pub object: Vec<u8>,
    /// What was decided.
    pub record: PadFile,
    /// Symbols that the table has room for.
    pub symbols: usize,
}

/// Letters that `nm` has for symbols with a place: any of them may come to stand in front of a name.
pub(crate) const LETTERS: &[u8] = b"?ABCDGRSTVWabcdgirstuvw-";

/// Makes the object.
///
/// # Errors
///
/// Objects that ask for no table or bring one, that are for a machine whose relocations are not known, or names that no
/// table can hold.
pub fn pad(superset: &Superset<'_>, script: &LinkerScript<'_>, options: PadOptions) -> Result<Pad, Error> {
    let target = superset.target().ok_or(ErrorKind::NotAsked)?;
    let (kernel, layout) = detect(superset, target.class, options)?;
    let names = superset.names(script, kernel, options.all_symbols);
    let tokens = tokens(&names)?;
    let waiting = Waiting::new(&names, &tokens, &layout)?;
    let slots = slots(names.len(), waiting.names.len(), &tokens, &layout, options.slack);
    let PadOptions { all_symbols, cut_names, slack, .. } = options;
    let record = PadFile { kernel, layout, all_symbols, cut_names, slack, slots, tokens };
    let object = object(&record, &waiting, &target)?;
    Ok(Pad { object, record, symbols: names.len() })
}

/// The kernel and the layout that ask for these arrays.
fn detect(superset: &Superset<'_>, class: Class, options: PadOptions) -> Result<(Kernel, Layout), Error> {
    if superset.has_table() {
        return Err(ErrorKind::HasTable.into());
    }
    let references = superset.references();
    let asks = |array| references.contains_key(&array);
    let names = *references.get(&Array::Names).ok_or(ErrorKind::NotAsked)?;
    let addresses = if asks(Array::Addresses) {
        AddressTable::Absolute
    } else if asks(Array::RelativeBase) {
        AddressTable::BaseRelative
    } else if class == Class::Elf64 || options.place_relative {
        AddressTable::PlaceRelative
    } else {
        AddressTable::Absolute32
    };
    let detected = match (addresses, asks(Array::SeqsOfNames), names) {
        (AddressTable::PlaceRelative | AddressTable::Absolute32, ..) => Kernel::V7_0,
        (_, false, _) => Kernel::V5_10,
        // References are weak until 6.10; the first link of a later build has a table already.
        (_, true, Reference::Weak) => Kernel::V6_1,
        (_, true, Reference::Strong) => Kernel::V6_12,
    };
    let kernel = options.kernel.unwrap_or(detected);
    let endian = superset.target().map_or(kbt_elf::Endianness::Little, |target| target.endian);
    let layout = Layout { seqs: asks(Array::SeqsOfNames), ..kernel.layout(class, endian, addresses) };
    Ok((kernel, layout))
}

/// Learns from the names alone: their letters are not known yet.
fn tokens(names: &[&[u8]]) -> Result<TokenTable, Error> {
    let symbols: Vec<SymbolEntry<'_>> = names.iter().map(|name| SymbolEntry::new(0, 0, name)).collect();
    Ok(learn(&symbols, LETTERS)?.tokens)
}

/// What waits for the patch ([`crate::waiting`]).
struct Waiting {
    /// The names: as many bytes as with any letters, in any order.
    names: Vec<u8>,
    /// Their hashes, in the room of the addresses.
    hashes: Vec<u8>,
}

impl Waiting {
    fn new(names: &[&[u8]], tokens: &TokenTable, layout: &Layout) -> Result<Self, Error> {
        let mut symbols: Vec<SymbolEntry<'_>> =
            names.iter().map(|name| SymbolEntry::new(0, PLACEHOLDER, name)).collect();
        symbols.sort_unstable_by_key(|symbol| symbol.name);
        let names = Names::encode(&Optimal::new(tokens)?.compress_apart(&symbols)?, layout)?.bytes;
        let hashes = symbols.iter().flat_map(|symbol| layout.u32(hash(symbol.name))).collect();
        Ok(Self { names, hashes })
    }
}

/// The size of every array in the layout's order, in bytes.
fn slots(count: usize, bytes: usize, tokens: &TokenTable, layout: &Layout, slack: u32) -> Vec<(Array, u64)> {
    let (count, slack) = (count as u64, u64::from(slack));
    let size = |array| match array {
        Array::Addresses => count * layout.word() as u64 + slack,
        // With the bytes that the base's alignment costs anyway: `patch` writes the base behind the last offset, too.
        Array::Offsets if layout.addresses.has_base() => {
            (count * 4 + slack).next_multiple_of(layout.word() as u64)
        }
        Array::Offsets => count * 4 + slack,
        Array::RelativeBase => layout.word() as u64,
        Array::NumSyms => 4,
        Array::Names => bytes as u64 + slack,
        Array::Markers => count.div_ceil(MARKER_STEP as u64) * 4 + slack,
        Array::TokenTable => tokens.bytes().len() as u64 + slack,
        Array::TokenIndex => 512,
        Array::SeqsOfNames => count * 3 + slack,
    };
    layout.arrays().into_iter().map(|array| (array, size(array))).collect()
}

/// Writes the object: zeros, but for the tokens, what waits, and the base, which the linker fills with the address of
/// `_text`.
fn object(record: &PadFile, waiting: &Waiting, target: &kbt_elf::Target) -> Result<Vec<u8>, Error> {
    let layout = &record.layout;
    let mut bytes = Vec::new();
    let mut symbols = Vec::with_capacity(record.slots.len());
    let mut relocations = Vec::new();
    for &(array, size) in &record.slots {
        let start = bytes.len().next_multiple_of(layout.alignment.max(1) as usize);
        let end = usize::try_from(size).ok().and_then(|size| start.checked_add(size));
        let end = end.ok_or(ErrorKind::TooMuchText { len: usize::MAX })?;
        bytes.resize(end, 0);
        let content = match array {
            Array::Names => waiting.names.clone(),
            Array::Addresses | Array::Offsets => waiting.hashes.clone(),
            Array::TokenTable => record.tokens.bytes().to_vec(),
            Array::TokenIndex => record.tokens.index()?.iter().flat_map(|&at| layout.u16(at)).collect(),
            _ => Vec::new(),
        };
        if let Some(place) = bytes.get_mut(start..start + content.len()) {
            place.copy_from_slice(&content);
        }
        let (offset, symbol) = (start as u64, &b"_text"[..]);
        if array == Array::RelativeBase {
            relocations.push(Relocation { kind: RelocationKind::Pointer, offset, symbol, addend: 0 });
        }
        symbols.push(DefinedSymbol { name: array.symbol().as_bytes(), offset, size });
    }
    let section = ReadOnlySection {
        name: b".rodata",
        bytes: &bytes,
        alignment: layout.alignment.into(),
        symbols: &symbols,
        relocations: &relocations,
    };
    relocatable(target, &section).map_err(|error| ErrorKind::Emit(error).into())
}
