//! Modules with bits flipped and ends cut off: no panic, and the same facts whole and in pieces.

#![allow(clippy::unwrap_used, reason = "the helpers of a test panic as its body does")]

use kbt_depmod::{MAX_SECTIONS, ModuleReader, ReadErrorKind, SourceError};
use kbt_elf::ReadAt;
use kbt_testkit::module::{Encoding, Module};
use kbt_testkit::random::Random;

struct Bytes<'a>(&'a [u8]);

impl ReadAt for Bytes<'_> {
    type Error = std::convert::Infallible;

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, Self::Error> {
        let rest = &self.0[usize::try_from(offset).unwrap().min(self.0.len())..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// A module with all that is read, larger than what is read in one go.
fn module(encoding: Encoding) -> Vec<u8> {
    let mut module =
        Module::new(encoding).info("alias", "pci:v*").info("softdep", "pre: x").info("weakdep", "y");
    module.sections.push((".data".to_owned(), vec![7; 20 << 10]));
    for index in 0..20 {
        module = module
            .export(&format!("exported_{index}"), index)
            .import(&format!("imported_{index}"))
            .version(index, &format!("imported_{index}"));
    }
    module.version(1, "module_layout").write()
}

#[test]
fn broken_modules_are_read_alike_or_refused_alike() {
    let mut random = Random::new(7);
    let mut reader = ModuleReader::new();
    let (mut read, mut refused) = (0, 0);
    for encoding in Encoding::ALL {
        let good = module(encoding);
        assert_eq!(reader.read(&good).unwrap().exports().len(), 20);
        // Where the bytes lie that are looked at: the header, and all but the 20 KiB.
        let looked_at: Vec<usize> = (0..good.len()).filter(|&at| good[at] != 7 || at < 64).collect();
        for _ in 0..2500 {
            let mut bytes = good.clone();
            if random.below(5) == 0 {
                bytes.truncate(random.below(bytes.len()));
            }
            for _ in 0..random.below(6) {
                let at = looked_at[random.below(looked_at.len())];
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            let whole = reader.read(&bytes);
            let whole_rest = reader.salvage();
            match (whole, reader.read_from(&mut Bytes(&bytes), bytes.len() as u64)) {
                (Ok(whole), Ok(pieces)) => {
                    read += 1;
                    assert!(whole == pieces);
                }
                (Err(whole), Err(SourceError::Module(pieces))) => {
                    refused += 1;
                    assert_eq!(whole, pieces);
                    assert!(whole.offset <= u64::MAX / 2 || whole.kmod_text() == "Invalid argument");
                }
                (whole, pieces) => panic!("{whole:?} {pieces:?}"),
            }
            assert!(whole_rest == reader.salvage());
        }
    }
    assert!(read > 1000 && refused > 1000, "{read} {refused}");
}

/// A file that claims to be a terabyte long, all of it symbols.
struct Endless(Vec<u8>);

impl ReadAt for Endless {
    type Error = std::convert::Infallible;

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, Self::Error> {
        assert!(buffer.len() < 1 << 20, "{} bytes at {offset}", buffer.len());
        Bytes(&self.0).read_at(offset, buffer)
    }
}

#[test]
fn a_section_that_fills_a_terabyte_is_not_fetched() {
    let mut bytes = module(Encoding::X86_64);
    let table = usize::try_from(u64::from_le_bytes(bytes[40..48].try_into().unwrap())).unwrap();
    let count = usize::from(u16::from_le_bytes(bytes[60..62].try_into().unwrap()));
    for index in 0..count {
        let entry = table + index * 64;
        if bytes[entry + 4] == 2 {
            bytes[entry + 32..entry + 40].copy_from_slice(&(24u64 << 35).to_le_bytes());
        }
    }
    let error = ModuleReader::new().read_from(&mut Endless(bytes), 1 << 40).unwrap_err();
    let SourceError::Module(error) = error;
    assert_eq!(error.kind, ReadErrorKind::TooLarge);
    assert!(error.to_string().contains(&(MAX_SECTIONS >> 20).to_string()));
}
