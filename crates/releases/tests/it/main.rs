//! The release store from outside: writing, loading, promoting, refusing, swapping.

mod broken;
mod cuts;
mod lists;
mod store;
mod watch;
mod world;
