//! What crosses a process or lies on a disk: generated code is fresh, contracts only grow, and what was
//! ever written is still read.
//!
//! `UPDATE_GENERATED=1` writes generated code and records what a contract has gained. It never forgives
//! what a contract has lost, and it never touches the golden bytes.

#[cfg(test)]
mod generate;

#[cfg(test)]
mod comments;
#[cfg(test)]
mod envelope;
#[cfg(test)]
mod fresh;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod growth;

/// Whether files may be written.
#[cfg(test)]
fn updating() -> bool {
    std::env::var_os("UPDATE_GENERATED").is_some_and(|value| value == "1")
}
