//! The allocator's pages: those of one step serve the next.

use libmimalloc_sys::{mi_option_set, mi_option_t};

/// `mi_option_purge_delay` of mimalloc 3 (its `mimalloc.h`), which the bindings do not name.
const PURGE_DELAY: mi_option_t = 15;

/// Tells mimalloc, where it is the global allocator, to keep the pages that were freed. A step frees and takes the
/// same hundreds of megabytes again; given back to the system in between, they come back as page faults and zeroing,
/// an eighth of a training step.
pub fn keep_pages() {
    // SAFETY: takes two numbers and stores one, in a table that holds every option of the version it is compiled from.
    unsafe { mi_option_set(PURGE_DELAY, -1) };
}

#[cfg(test)]
mod tests {
    use libmimalloc_sys::mi_option_get;

    /// mimalloc's own default is 10 milliseconds (1000 in later versions); were the number that of another option,
    /// this would not hold before and after.
    #[test]
    fn the_option_is_the_delay() {
        // SAFETY: reads one entry of the table of options.
        let delay = || unsafe { mi_option_get(super::PURGE_DELAY) };
        assert!(delay() >= 10, "{}", delay());
        super::keep_pages();
        assert_eq!(delay(), -1);
    }
}
