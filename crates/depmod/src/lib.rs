//! What depmod makes of a directory of kernel modules.
//!
//! Two pure steps: `read_module` takes the [`ModuleFacts`] out of one module's bytes, and `build` joins the facts of all
//! into the files that modprobe reads. No file is opened here, nothing is printed, no thread is made.

mod facts;

pub use facts::{Export, FactsBuilder, Import, MAX_TEXT, ModuleFacts, TooMuchText};
