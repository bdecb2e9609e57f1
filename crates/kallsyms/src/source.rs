//! The table as assembler source: what scripts/kallsyms prints, byte for byte.

use crate::addresses;
use crate::error::Error;
use crate::kernel::Kernel;
use crate::layout::{AddressTable, Array, Layout};
use crate::names::{Length, MARKER_STEP};
use crate::seqs;
use crate::symbol::SymbolEntry;
use crate::tables::Origin;
use crate::token::{CompressedNames, TokenTable};

/// What is in front of the arrays, before 7.0.
const HEAD: &str = "\
#include <asm/bitsperlong.h>
#if BITS_PER_LONG == 64
#define PTR .quad
#define ALGN .balign 8
#else
#define PTR .long
#define ALGN .balign 4
#endif
";

/// Prints the table of `symbols`, which are in the table's order, as the generator of `kernel` does.
///
/// # Errors
///
/// Those of [`crate::Tables::encode`].
pub fn print(
    symbols: &[SymbolEntry<'_>],
    tokens: &TokenTable,
    names: &CompressedNames,
    layout: Layout,
    origin: Origin,
    kernel: Kernel,
) -> Result<Vec<u8>, Error> {
    let names_size = names.total() * 6 + symbols.len() * 48;
    let out = Vec::with_capacity(names_size + symbols.len() * 64);
    let mut printer = Printer { out, symbols, layout, origin, kernel };
    if kernel < Kernel::V7_0 {
        printer.out.extend_from_slice(HEAD.as_bytes());
    }
    printer.text("\t.section .rodata, \"a\"\n");
    let mut markers = Vec::new();
    for array in layout.arrays() {
        printer.label(array);
        match array {
            Array::Addresses | Array::Offsets => printer.addresses()?,
            Array::RelativeBase => printer.word(origin.base),
            Array::NumSyms => printer.line(".long\t", symbols.len()),
            Array::Names => markers = printer.names(names)?,
            Array::Markers => markers.iter().for_each(|&marker| printer.line(".long\t", marker)),
            Array::TokenTable => printer.token_table(tokens),
            Array::TokenIndex => {
                tokens.index()?.iter().for_each(|&start| printer.line(".short\t", start.into()));
            }
            Array::SeqsOfNames => printer.seqs()?,
        }
        printer.text("\n");
    }
    Ok(printer.out)
}

struct Printer<'a> {
    out: Vec<u8>,
    symbols: &'a [SymbolEntry<'a>],
    layout: Layout,
    origin: Origin,
    kernel: Kernel,
}

impl Printer<'_> {
    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn label(&mut self, array: Array) {
        let align = if self.kernel >= Kernel::V7_0 { ".balign 4" } else { "ALGN" };
        self.text(&format!(".globl {array}\n\t{align}\n{array}:\n"));
    }

    /// A directive with a decimal number.
    fn line(&mut self, directive: &str, number: usize) {
        self.text(&format!("\t{directive}{number}\n"));
    }

    /// Two digits, with `0x` in front.
    fn byte(&mut self, byte: u8) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let [high, low] = [byte >> 4, byte & 0xf].map(|digit| DIGITS[usize::from(digit)]);
        self.out.extend([b'0', b'x', high, low]);
    }

    /// A number as C's `%#x` has it: no `0x` for 0.
    fn hexadecimal(&mut self, number: u64) {
        self.text(&if number == 0 { "0".to_owned() } else { format!("{number:#x}") });
    }

    /// The symbol in a comment, and the end of the line.
    fn comment(&mut self, symbol: &SymbolEntry<'_>, since: Kernel) {
        if self.kernel >= since {
            self.text("\t/* ");
            self.out.push(symbol.kind);
            self.out.extend_from_slice(symbol.name);
            self.text(" */");
        }
        self.text("\n");
    }

    /// An address by its distance from `_text`.
    fn word(&mut self, address: u64) {
        let text = self.origin.text;
        let (sign, distance) = if text <= address { ('+', address - text) } else { ('-', text - address) };
        self.text(&format!("\tPTR\t_text {sign} "));
        // `%#llx`, like the rest.
        self.hexadecimal(distance);
        self.text("\n");
    }

    fn addresses(&mut self) -> Result<(), Error> {
        // For its checks: the ranges are those of the arrays.
        addresses::encode(self.symbols, &self.layout, self.origin.text, self.origin.base)?;
        for symbol in self.symbols {
            match self.layout.addresses {
                AddressTable::Absolute if symbol.absolute => {
                    self.text("\tPTR\t");
                    self.hexadecimal(symbol.address);
                    self.text("\n");
                    continue;
                }
                AddressTable::Absolute => {
                    self.word(symbol.address);
                    continue;
                }
                AddressTable::PlaceRelative => {
                    let distance = symbol.address.wrapping_sub(self.origin.text).cast_signed();
                    self.text(&format!("\t.long\t_text - . + ({distance})"));
                }
                addresses => {
                    self.text("\t.long\t");
                    let offset = addresses::offset(symbol, addresses, self.origin.base);
                    self.hexadecimal(offset.unwrap_or(0).into());
                }
            }
            self.comment(symbol, Kernel::V6_6);
        }
        Ok(())
    }

    /// Gives the markers.
    fn names(&mut self, names: &CompressedNames) -> Result<Vec<usize>, Error> {
        let (mut markers, mut offset) = (Vec::new(), 0);
        let symbols = self.symbols;
        for (index, (name, symbol)) in names.iter().zip(symbols).enumerate() {
            if index % MARKER_STEP == 0 {
                markers.push(offset);
            }
            let length = Length::new(name.len(), &self.layout)?;
            let mut separator = "\t.byte ";
            for &byte in length.bytes().iter().chain(name) {
                self.text(separator);
                self.byte(byte);
                separator = ", ";
            }
            self.comment(symbol, Kernel::V6_12);
            offset += length.bytes().len() + name.len();
        }
        Ok(markers)
    }

    fn token_table(&mut self, tokens: &TokenTable) {
        for code in 0..=u8::MAX {
            self.text("\t.asciz\t\"");
            self.out.extend_from_slice(tokens.string(code));
            self.text("\"\n");
        }
    }

    fn seqs(&mut self) -> Result<(), Error> {
        let symbols = self.symbols;
        for seq in seqs::order_by_name(symbols, self.origin.cut_names)? {
            let [_, high, middle, low] = seq.to_be_bytes();
            let mut separator = "\t.byte ";
            for byte in [high, middle, low] {
                self.text(separator);
                self.byte(byte);
                separator = ", ";
            }
            match symbols.get(seq as usize) {
                Some(symbol) => self.comment(symbol, Kernel::V6_12),
                None => self.text("\n"),
            }
        }
        Ok(())
    }
}
