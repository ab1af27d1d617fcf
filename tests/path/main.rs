//! The whole loop, in both shapes: one process on embedded storage, three processes on a real nats-server, and a whole
//! cluster on PostgreSQL. The same story is told to all: a page, a play, the page after it, and the traces of both.

mod cluster;
mod cursors;
mod measured;
mod newcomer;
mod one_process;
mod ranker;
mod real_data;
mod story;
mod swap;
mod three_processes;
mod traces;
mod understand;
