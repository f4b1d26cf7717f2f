//! Who gives way to whom on the processor.

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
