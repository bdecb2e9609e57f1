//! Sources of overlays: each directive that is told of stands where it is said to stand.

use kbt_dto_check::deletions;

/// One input.
pub fn run(bytes: &[u8]) {
    for deletion in deletions(bytes) {
        assert!(deletion.text.starts_with("/delete-"));
        assert!(deletion.column > 0 && (1..=deletion.column).contains(&deletion.column_utf16));
        if bytes.contains(&b'#') {
            continue;
        }
        let line =
            bytes.split(|&byte| byte == b'\n').nth(deletion.line as usize - 1).expect("the line is there");
        assert!(line[deletion.column as usize - 1..].starts_with(b"/delete-"));
    }
}
