//! Who wants to know how far a pull is.

/// Told while bytes come, from any thread; must not wait.
pub trait Progress: Send + Sync {
    /// So many bytes will come, as far as the registry says.
    fn expects(&self, bytes: u64);
    /// So many more came, or were there already.
    fn moved(&self, bytes: u64);
}

/// Nobody does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn expects(&self, _: u64) {}
    fn moved(&self, _: u64) {}
}
