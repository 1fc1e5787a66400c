//! The kit: it reads commands, does what the host and the guest do, and writes answers. All of it but
//! `process`, `memory_process` and `lines` uses `core` alone.

#![allow(dead_code)]

pub mod adapter;
pub mod commands;
pub mod guest;
pub mod hello;
pub mod host_pages;
pub mod json;
pub mod layouts;
pub mod lines;
pub mod memory;
pub mod memory_commands;
pub mod memory_process;
pub mod on_memory;
pub mod pages;
pub mod process;
pub mod psp;
pub mod reading;
pub mod sha2;
pub mod switch;
pub mod tpm;
pub mod vm;
pub mod whom;
