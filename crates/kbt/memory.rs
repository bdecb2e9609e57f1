//! Where what a command works in lies, for commands whose time goes into page faults.

/// Lets what is freed be used again, instead of going back to the system and being asked for anew, page by page, which took
/// a fifth of a kernel's patch, and lets it lie on large pages, as small ones took another fifth, and as much of
/// `depmod --incremental`. glibc gives large blocks back as soon as they are freed, until it has seen one that was freed:
/// from then on it keeps blocks of up to that size. Other allocators take no notice.
pub fn keep_memory() {
    /// A little less than the largest block that glibc learns from.
    const MOST: usize = (32 << 20) - (1 << 16);
    let block = || {
        let mut block = Vec::<u8>::new();
        // Where it cannot be had, nothing is learned.
        let _ = block.try_reserve_exact(MOST);
        std::hint::black_box(block)
    };
    // Not a page of either is touched.
    drop(block());
    // This one is kept: the blocks that follow are cut from it.
    let mut kept = block();
    kbt_memory::prefer_large_pages(kept.spare_capacity_mut());
}
