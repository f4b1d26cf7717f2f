//! Who gives way to whom on the processor.

use std::time::Duration;

/// Below everything that answers quickly, above nothing at all: the kernel then gives a thread of
/// the default priority about nine times as much, and lets it in at once.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Makes the calling thread, and those that it starts, give way to those that speak to clients:
/// for threads that run models or load them, which have work for milliseconds to minutes.
pub fn give_way() {
    // On Linux priorities belong to threads; elsewhere the whole process would give way.
    #[cfg(target_os = "linux")]
    {
        let thread = rustix::thread::gettid();
        if let Err(error) = rustix::process::setpriority_process(Some(thread), NICE) {
            tracing::debug!(%error, "a thread keeps its priority");
        }
    }
}

/// How long this thread was ready to run and the processor was with others; `None` where the system does not
/// say. What a thread waits for by itself, such as a device or a lock, is not in it.
pub(crate) fn run_delay() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    {
        use std::fs::File;
        use std::os::unix::fs::FileExt as _;

        thread_local! {
            /// It stays this thread's, whoever reads it. Not there on a kernel without CONFIG_SCHED_INFO.
            static SCHEDSTAT: Option<File> = File::open("/proc/thread-self/schedstat").ok();
        }
        // Three numbers of at most twenty digits.
        let mut text = [0; 64];
        let read = SCHEDSTAT.try_with(|it| it.as_ref()?.read_at(&mut text, 0).ok()).ok()??;
        parse(text.get(..read)?)
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// The second of: time on the processor, time ready and waiting for it, in nanoseconds, and how many turns.
#[cfg(any(target_os = "linux", test))]
fn parse(schedstat: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(schedstat).ok()?;
    text.split_ascii_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_line_is_read() {
        let check = |text: &str, expect: Option<u64>| {
            assert_eq!(parse(text.as_bytes()), expect.map(Duration::from_nanos), "{text:?}");
        };
        check("922240 56260 1\n", Some(56_260));
        check("18446744073709551615 18446744073709551615 18446744073709551615\n", Some(u64::MAX));
        check("0 0 0\n", Some(0));
        check("922240\n", None);
        check("922240 -1 1\n", None);
        check("", None);
    }

    #[test]
    fn it_only_grows() {
        let (before, after) = (run_delay(), run_delay());
        assert!(before <= after, "{before:?} {after:?}");
        assert_eq!(before.is_some(), std::path::Path::new("/proc/thread-self/schedstat").exists());
    }
}
