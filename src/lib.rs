//! Hawser: a volume plugin for Docker, Mesos/Marathon and DC/OS.

pub mod spec;
pub mod sys;
