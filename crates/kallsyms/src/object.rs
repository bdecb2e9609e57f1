//! The table as an object file, ready for the link: what the assembler makes of scripts/kallsyms' text.

use kbt_elf::{DefinedSymbol, ReadOnlySection, Relocation, RelocationKind, Target, relocatable};

use crate::addresses::{Content, Value};
use crate::error::{Error, ErrorKind};
use crate::tables::Tables;

/// The symbol from which addresses count.
const TEXT: &[u8] = b"_text";

impl Tables {
    /// Makes the object for a machine.
    ///
    /// # Errors
    ///
    /// A machine whose relocations are not known, where the layout needs some; more than its class can state.
    pub fn object(&self, target: &Target) -> Result<Vec<u8>, Error> {
        let (starts, size) = self.offsets();
        let mut bytes = Vec::with_capacity(size);
        let (mut symbols, mut relocations) = (Vec::new(), Vec::new());
        for (array, &start) in self.arrays.iter().zip(&starts) {
            bytes.resize(start, 0);
            match &array.content {
                Content::Bytes(content) => bytes.extend_from_slice(content),
                Content::Words(values) => {
                    relocations.extend(self.relocations(values, RelocationKind::Pointer, &mut bytes));
                }
                Content::Distances(values) => {
                    relocations.extend(self.relocations(values, RelocationKind::PlaceRelative32, &mut bytes));
                }
            }
            let size = (bytes.len() - start) as u64;
            symbols.push(DefinedSymbol { name: array.array.symbol().as_bytes(), offset: start as u64, size });
        }
        let section = ReadOnlySection {
            name: b".rodata",
            bytes: &bytes,
            alignment: self.layout.alignment.into(),
            symbols: &symbols,
            relocations: &relocations,
        };
        relocatable(target, &section).map_err(|error| ErrorKind::Emit(error).into())
    }

    /// Appends room for the values, or those that no link changes, and gives the relocations of the others.
    fn relocations(
        &self,
        values: &[Value],
        kind: RelocationKind,
        bytes: &mut Vec<u8>,
    ) -> Vec<Relocation<'static>> {
        let mut relocations = Vec::with_capacity(values.len());
        for value in values {
            let offset = bytes.len() as u64;
            let constant = match *value {
                Value::Text(addend) => {
                    relocations.push(Relocation { kind, offset, symbol: TEXT, addend });
                    0
                }
                Value::Constant(value) => value,
            };
            match kind {
                RelocationKind::Pointer => self.layout.push_word(bytes, constant),
                RelocationKind::PlaceRelative32 => bytes.extend([0; 4]),
            }
        }
        relocations
    }
}
