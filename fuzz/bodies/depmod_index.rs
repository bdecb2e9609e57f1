//! An index of modules: no panic, bounded work, and what was read can be written and read again.

use kbt_depmod::{Entry, Index, IndexBuilder, Layout};

/// One input.
pub fn run(bytes: &[u8]) {
    let Ok(index) = Index::parse(bytes) else { return };
    let entries: Vec<Entry<'_>> = index.entries().map_while(Result::ok).collect();
    for entry in entries.iter().take(100) {
        let _ = index.get(&entry.key);
    }
    let mut builder = IndexBuilder::new();
    for entry in &entries {
        builder.insert(&entry.key, entry.value, entry.priority);
    }
    // Writers never make a child of NUL, and readers never look for one.
    if entries.iter().any(|entry| entry.key.contains(&0)) {
        return;
    }
    let order = |entry: &Entry<'_>| (entry.key.clone(), entry.priority, entry.value.to_vec());
    let mut expected = entries.clone();
    expected.sort_by_key(order);
    for layout in [Layout::PreOrder, Layout::PostOrder] {
        let Ok(made) = builder.build(layout) else { return };
        let again = Index::parse(&made).expect("kbt's own");
        let mut again: Vec<Entry<'_>> = again.entries().map(|entry| entry.expect("kbt's own")).collect();
        again.sort_by_key(order);
        assert_eq!(again, expected);
    }
}
