//! The repository's own tests: architecture, tidy, wire and path (see the targets beside this folder).
