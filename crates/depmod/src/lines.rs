//! Lines as C's `fgets` gives them: what kmod's parsers see.

/// Buffers of kmod's parsers, with the final NUL: for paths, and for tables of symbols.
pub(crate) const PATH_LINE: usize = 4096;
pub(crate) const SYMBOL_LINE: usize = 10240;

/// The pieces of `text` that end behind a line feed, at the end, or where a buffer of `size` is full.
pub(crate) fn fgets(text: &[u8], size: usize) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|&byte| byte == b'\n').flat_map(move |line| line.chunks(size - 1)).map(c_string)
}

/// What C sees of these bytes: all before the first NUL.
pub(crate) fn c_string(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// C's `strtok` over one line: the non-empty pieces between the separators.
pub(crate) fn words<'l>(line: &'l [u8], separators: &'static [u8]) -> impl Iterator<Item = &'l [u8]> {
    line.split(move |byte| separators.contains(byte)).filter(|word| !word.is_empty())
}
