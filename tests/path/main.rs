//! The whole loop, in both shapes: one process on embedded storage, and three processes on a real
//! nats-server. The same story is told to both: a page, a play, the page after it, and the traces of all.

mod one_process;
mod real_data;
mod story;
mod three_processes;
mod traces;
