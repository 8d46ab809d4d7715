//! How the C library keeps the memory that is freed. With another one than glibc nothing happens.

/// Asks it to give large blocks back at once, and to keep one heap and not one for each thread.
///
/// Otherwise a controller keeps what a checkpoint or the journal's buffers of 4 MiB took, scattered over the heaps of a dozen threads: some
/// 20 MiB; and the heaps of all threads but the first grow by a page at a time, and ask the kernel for each. Sled's 41 tables of 512 KiB
/// are to be blocks of their own, too: never used, they stay without memory.
///
/// These settings are the process's, which has to make them before it starts threads.
pub(crate) fn set_up_heap() {
    #[cfg(target_env = "gnu")]
    for (setting, value) in
        [(libc::M_MMAP_THRESHOLD, 1 << 19), (libc::M_TRIM_THRESHOLD, 1 << 20), (libc::M_ARENA_MAX, 1)]
    {
        // SAFETY: the call takes two numbers, and may be made at any time and from any thread.
        #[expect(unsafe_code, reason = "glibc has no other way to be told")]
        unsafe {
            // One that is refused leaves things as they were.
            libc::mallopt(setting, value);
        }
    }
}
