//! How often a file of the log is asked for that cannot be had.

/// How often it is tried to read a file, each in a round of its own, until it is left out: some minutes, as
/// the rounds are seldomer after each.
const TRIES_MAX: u32 = 5;

/// How often a file could not be had that the others of a version wait for.
#[derive(Debug, Default)]
pub(crate) struct Tries(Option<(String, u32)>);

impl Tries {
    /// Once more. True: it is not worth another.
    pub(crate) fn failed(&mut self, path: &str) -> bool {
        let before = self.0.take().filter(|it| it.0 == path).map_or(0, |it| it.1);
        if before + 1 >= TRIES_MAX {
            return true;
        }
        self.0 = Some((path.to_owned(), before + 1));
        false
    }
}
