//! What the tests stand on: frames, namespaces, the agent as a process, the reference lab.
//!
//! The tests themselves are in `tests/`, one file for each behaviour, named for their tier (`t0_` to `t4_`).
//! Nothing here touches the machine's own interfaces, routes or XFRM state: all of it happens in namespaces that
//! exist only as long as the process that made them.

pub mod agent;
pub mod attached;
pub mod bench;
pub mod capture;
pub mod cases;
pub mod corpus;
pub mod crossing;
pub mod demo;
pub mod foreign;
pub mod frame;
pub mod fuzz;
pub mod host;
pub mod ike;
pub mod kernel;
pub mod lab;
pub mod link;
pub mod monitor;
pub mod netns;
pub mod pcap;
pub mod probe;
pub mod promtext;
pub mod recorded;
pub mod rules;
pub mod run;
pub mod site;
pub mod strategy;
pub mod stream;
pub mod tables;
pub mod tally;
pub mod traced;
pub mod traffic;
pub mod wait;
pub mod wire;
pub mod world;
