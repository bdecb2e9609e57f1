//! Flattened device trees: header, tokens and a flat index over them, borrowed and checked.
