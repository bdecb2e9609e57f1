//! Every symbol that a link may bring into the kernel, known before the link.
//!
//! A symbol of the linked kernel is one of three: a symbol that an object defines, a name that the linker script assigns,
//! or one that the linker makes. Of the last it makes those that an object asks for (`__start_SECTION`), the tables of
//! position-independent code ([`MADE`]), and stubs, whose names every kernel's filter drops. So what the objects define, less what
//! the script throws away, with what they leave undefined and what the script assigns, has them all.
//!
//! What the link decides is left open: the address, and with it the order; and the type letter, which follows the
//! output section (`.rodata` becomes writable: `R` turns `D`).
//!
//! Limits: sections that `--gc-sections` drops count, which makes the table larger than it need be; symbols that only the
//! linker's command line defines (`--defsym`) do not, unless an object asks for them.

use std::collections::{BTreeMap, HashSet};

use kbt_elf::{
    Binding, Image, ReadRef, Section, Symbol, Target, file_type, machine, section_flag, section_index,
    section_type, symbol_type,
};

use crate::error::{Error, ErrorKind};
use crate::kernel::Kernel;
use crate::layout::Array;
use crate::linker_script::{LinkerScript, Placement};
use crate::select::is_border;

/// What ld makes where the link needs it, asked for by name or not.
const MADE: [&[u8]; 3] = [b"_GLOBAL_OFFSET_TABLE_", b"_DYNAMIC", b"_PROCEDURE_LINKAGE_TABLE_"];
/// Machines whose kernels have none of these: their linker scripts refuse such sections. One that says where
/// `.dynamic` goes is made for `-pie`, and has the first two.
const X86: [u16; 2] = [machine::I386, machine::X86_64];
/// Machines for which ld names no table of procedures.
const NO_PLT: [u16; 3] = [machine::S390, machine::ARM, machine::AARCH64];

/// A reference that the objects leave open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reference {
    /// A link without it is fine.
    Weak,
    /// A link needs it.
    Strong,
}

/// One symbol that an object defines.
#[derive(Debug, Clone, Copy)]
struct Candidate<'a> {
    name: &'a [u8],
    /// Whether it has a value instead of a place.
    absolute: bool,
    /// The output section that it goes to; empty for those without a place.
    output: &'a [u8],
}

/// The symbols of some objects, gathered.
#[derive(Debug, Clone, Default)]
pub struct Superset<'a> {
    candidates: Vec<Candidate<'a>>,
    /// Names that one definition is enough for.
    globals: HashSet<&'a [u8]>,
    undefined: HashSet<&'a [u8]>,
    /// Output sections that code goes to.
    text: HashSet<&'a [u8]>,
    references: BTreeMap<Array, Reference>,
    target: Option<Target>,
    has_table: bool,
}

impl<'a> Superset<'a> {
    /// Adds the symbols of an object, less those that the script throws away.
    ///
    /// # Errors
    ///
    /// No symbol table, one that cannot be read, or an object for another machine than those before it.
    pub fn add_object<R: ReadRef<'a>>(
        &mut self,
        image: &Image<R>,
        script: &LinkerScript<'a>,
    ) -> Result<(), Error> {
        let sections = image.sections()?;
        let header = image.header();
        let target = Target {
            class: header.class,
            endian: header.endian,
            machine: header.machine,
            flags: header.flags,
        };
        let known = *self.target.get_or_insert(target);
        if (known.class, known.endian, known.machine) != (target.class, target.endian, target.machine) {
            return Err(ErrorKind::MixedMachines.into());
        }
        let symtab = match sections.of_type(section_type::SYMTAB) {
            Some((_, symtab)) => symtab,
            // The assembler writes none where there are no symbols; a stripped kernel had some.
            None if header.file_type == file_type::REL => return Ok(()),
            None => return Err(ErrorKind::NoSymbolTable.into()),
        };
        let symbols = image.symbols(&sections, &symtab)?;
        let mut outputs = Vec::with_capacity(sections.len());
        for section in sections.iter() {
            let name = sections.name(&section).unwrap_or_default();
            outputs.push(self.output(name, &section, script));
        }
        let extended = extended_indices(image, &sections);
        for (index, symbol) in symbols.iter().enumerate().skip(1) {
            let section = match (symbol.section, extended) {
                (section_index::EXTENDED, Some(table)) => table.get(index),
                (section, _) => Some(usize::from(section)),
            };
            let name = symbols.name(&symbol).ok_or(ErrorKind::NameOutside { index })?;
            let output = section.and_then(|section| outputs.get(section).copied().flatten());
            self.add_symbol(name, &symbol, output);
        }
        Ok(())
    }

    /// The output section of an input section; `None` where it is thrown away.
    fn output(&mut self, name: &'a [u8], section: &Section, script: &LinkerScript<'a>) -> Option<&'a [u8]> {
        let output = match script.placement(name) {
            Placement::Discarded => return None,
            Placement::Output(output) => output,
            Placement::Orphan => name,
        };
        if section.flags & section_flag::EXECINSTR != 0 {
            self.text.insert(output);
        }
        Some(output)
    }

    fn add_symbol(&mut self, name: &'a [u8], symbol: &Symbol, output: Option<&'a [u8]>) {
        if name.is_empty() || matches!(symbol.kind(), symbol_type::SECTION | symbol_type::FILE) {
            return;
        }
        let array = Array::from_symbol(name);
        if symbol.is_undefined() {
            if let Some(array) = array {
                let weak = symbol.binding() == Binding::Weak;
                let reference = if weak { Reference::Weak } else { Reference::Strong };
                let strongest = self.references.entry(array).or_insert(reference);
                if reference == Reference::Strong {
                    *strongest = reference;
                }
            }
            self.undefined.insert(name);
            return;
        }
        let absolute = symbol.section == section_index::ABSOLUTE;
        let is_placed = absolute || symbol.section == section_index::COMMON;
        let Some(output) = (if is_placed { Some(&b""[..]) } else { output }) else { return };
        self.has_table |= array == Some(Array::Names);
        // Of definitions of a global name one survives.
        if symbol.binding() != Binding::Local && !self.globals.insert(name) {
            return;
        }
        self.candidates.push(Candidate { name, absolute, output });
    }

    /// For what machine the objects are.
    pub fn target(&self) -> Option<Target> {
        self.target
    }

    /// The arrays that the objects ask for, and how strongly.
    pub(crate) fn references(&self) -> &BTreeMap<Array, Reference> {
        &self.references
    }

    /// Whether an object brings a table of its own.
    pub(crate) fn has_table(&self) -> bool {
        self.has_table
    }

    /// All names that the table of such a kernel may come to have, as often as it may have them: those of the objects in
    /// their order, then the others, sorted. Without `all_symbols`, those that may lie in its text.
    pub fn names(&self, script: &LinkerScript<'a>, kernel: Kernel, all_symbols: bool) -> Vec<&'a [u8]> {
        let is_kept = |kind: u8, name: &[u8]| {
            let drops = kernel.is_fed_by_map() && kernel.drops_from_map(kind, name);
            !drops && !kernel.ignores(kind, name) && name.len() < kernel.name_limit()
        };
        let own = self.candidates.iter().filter(|symbol| {
            let in_text = all_symbols
                || symbol.output.is_empty()
                || self.text.contains(symbol.output)
                || kernel.keeps_borders() && is_border(symbol.name);
            let kinds: &[u8] = if symbol.absolute { b"Aa" } else { b"T" };
            in_text && kinds.iter().any(|&kind| is_kept(kind, symbol.name))
        });
        let mut names: Vec<&[u8]> = own.map(|symbol| symbol.name).collect();
        let kind_of = |name: &[u8]| if script.is_absolute(name) { b'A' } else { b'T' };
        let arrays = Array::ALL.iter().map(|array| array.symbol().as_bytes());
        let provided = script.assigned().iter().copied().chain(self.undefined.iter().copied());
        let provided = provided.chain(arrays).chain(made(self.target.map(|target| target.machine), script));
        let mut provided: Vec<&[u8]> =
            provided.filter(|name| !self.globals.contains(name) && is_kept(kind_of(name), name)).collect();
        provided
            .retain(|name| Array::from_symbol(name).is_none_or(|array| self.references.contains_key(&array)));
        provided.sort_unstable();
        provided.dedup();
        names.append(&mut provided);
        names
    }
}

/// What the linker may make for a machine: not what it has no name for, or what stands in a section that goes.
fn made<'n>(machine: Option<u16>, script: &LinkerScript<'_>) -> impl Iterator<Item = &'n [u8]> + use<'n> {
    let is_one = move |machines: &[u16]| machine.is_some_and(|machine| machines.contains(&machine));
    let dynamic = script.placement(b".dynamic");
    let is_dynamic = dynamic != Placement::Discarded;
    let is_placed = matches!(dynamic, Placement::Output(_));
    MADE.into_iter().filter(move |name| match *name {
        b"_PROCEDURE_LINKAGE_TABLE_" if is_one(&X86) => false,
        _ if is_one(&X86) => is_placed,
        b"_DYNAMIC" => is_dynamic,
        b"_PROCEDURE_LINKAGE_TABLE_" => !is_one(&NO_PLT),
        _ => true,
    })
}

/// Section indices of symbols that 16 bits do not hold, `SHT_SYMTAB_SHNDX`.
#[derive(Debug, Clone, Copy)]
struct ExtendedIndices<'a> {
    bytes: &'a [u8],
    big: bool,
}

impl ExtendedIndices<'_> {
    fn get(&self, index: usize) -> Option<usize> {
        let bytes = *self.bytes.get(index.checked_mul(4)?..)?.first_chunk()?;
        let number = if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
        usize::try_from(number).ok()
    }
}

fn extended_indices<'a, R: ReadRef<'a>>(
    image: &Image<R>,
    sections: &kbt_elf::SectionTable<'a>,
) -> Option<ExtendedIndices<'a>> {
    let (_, section) = sections.of_type(section_type::SYMTAB_SHNDX)?;
    let bytes = image.data(&section).ok()?;
    Some(ExtendedIndices { bytes, big: image.header().endian == kbt_elf::Endianness::Big })
}
