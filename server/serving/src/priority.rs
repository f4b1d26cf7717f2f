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

/// How long the processor has worked for this thread; `None` where the system does not say.
pub(crate) fn spent() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let seconds = u64::try_from(time.tv_sec).ok()?;
        Some(Duration::new(seconds, u32::try_from(time.tv_nsec).ok()?))
    }
    #[cfg(not(target_os = "linux"))]
    None
}
