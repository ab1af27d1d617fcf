//! What ranking promises, tested from outside: features, slate rules, reasons, whole pages, releases.

#[cfg(test)]
mod pages;

#[cfg(test)]
mod features;
#[cfg(test)]
mod first_pass;
#[cfg(test)]
mod imported;
#[cfg(test)]
mod page_laws;
#[cfg(test)]
mod propensities;
#[cfg(test)]
mod reasons;
#[cfg(test)]
mod releases_in_use;
#[cfg(test)]
mod slate_rules;
