//! The kit: it reads commands, does what the host and the guest do, and writes answers. All of it but
//! `process` and `lines` uses `core` alone.

#![allow(dead_code)]

pub mod adapter;
pub mod commands;
pub mod hello;
pub mod json;
pub mod layouts;
pub mod lines;
pub mod process;
pub mod reading;
pub mod vm;
