//! The fields of an entry that who packs may set, by their names on every command line.

use core::fmt;

use crate::number::Value;
use crate::table::MAX_CUSTOM;

/// A field of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `id`
    Id,
    /// `rev`
    Rev,
    /// `flags`
    Flags,
    /// `custom0` to `custom10`
    Custom(usize),
}

impl Field {
    /// The field of that name: `id`, `rev`, `flags`, `custom0` to `custom10`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "id" => Some(Self::Id),
            "rev" => Some(Self::Rev),
            "flags" => Some(Self::Flags),
            _ => {
                let digits = name.strip_prefix("custom")?;
                let index = digits.parse().ok().filter(|&index| index < MAX_CUSTOM)?;
                // One spelling only: no sign, no leading zero.
                (digits.len() == if index < 10 { 1 } else { 2 }).then_some(Self::Custom(index))
            }
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id => f.write_str("id"),
            Self::Rev => f.write_str("rev"),
            Self::Flags => f.write_str("flags"),
            Self::Custom(index) => write!(f, "custom{index}"),
        }
    }
}

/// What was set of one entry, or of all entries as a default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntryOptions {
    id: Option<Value>,
    rev: Option<Value>,
    flags: Option<Value>,
    custom: [Option<Value>; MAX_CUSTOM],
}

impl EntryOptions {
    /// Sets a field; the last one wins.
    pub fn set(&mut self, field: Field, value: Value) {
        if let Some(slot) = self.slot(field) {
            *slot = Some(value);
        }
    }

    /// What a field was set to.
    pub fn get(&self, field: Field) -> Option<&Value> {
        match field {
            Field::Id => self.id.as_ref(),
            Field::Rev => self.rev.as_ref(),
            Field::Flags => self.flags.as_ref(),
            Field::Custom(index) => self.custom.get(index)?.as_ref(),
        }
    }

    /// The fields that were set, in the table's order.
    pub fn fields(&self) -> impl Iterator<Item = (Field, &Value)> {
        [Field::Id, Field::Rev, Field::Flags]
            .into_iter()
            .chain((0..MAX_CUSTOM).map(Field::Custom))
            .filter_map(|field| self.get(field).map(|value| (field, value)))
    }

    /// These options, with `defaults` where nothing was set.
    #[must_use]
    pub fn or(&self, defaults: &Self) -> Self {
        let mut merged = defaults.clone();
        for (field, value) in self.fields() {
            merged.set(field, value.clone());
        }
        merged
    }

    fn slot(&mut self, field: Field) -> Option<&mut Option<Value>> {
        match field {
            Field::Id => Some(&mut self.id),
            Field::Rev => Some(&mut self.rev),
            Field::Flags => Some(&mut self.flags),
            Field::Custom(index) => self.custom.get_mut(index),
        }
    }
}
