//! What becomes of the memory that a picture leaves behind.

/// Asks the C library to keep up to 32 MiB for each thread when a picture is done, instead of giving them back.
///
/// Otherwise every picture's buffers are mapped, zeroed and unmapped by the kernel anew, which takes a good part of the time of
/// [`GrayscaleLossless`](crate::Op::GrayscaleLossless) most of all. It is the process's setting, so that the process has to ask. Blocks over 16 MiB go back at once all the same. With
/// another C library than glibc nothing happens.
pub fn keep_freed() {
    #[cfg(target_env = "gnu")]
    for (setting, bytes) in [(libc::M_MMAP_THRESHOLD, 16 << 20), (libc::M_TRIM_THRESHOLD, 32 << 20)] {
        // SAFETY: the call takes two numbers, and may be made at any time and from any thread.
        #[expect(unsafe_code, reason = "glibc has no other way to be told")]
        unsafe {
            // One that is refused leaves things as they were.
            libc::mallopt(setting, bytes);
        }
    }
}
