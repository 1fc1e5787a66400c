//! The kit: it reads commands, keeps guest memory, and writes answers. All of it but `process` and `lines`
//! uses `core` alone.

#![allow(dead_code)]

pub mod adapter;
pub mod asked;
pub mod commands;
pub mod events;
pub mod hello;
pub mod json;
pub mod layouts;
pub mod lines;
pub mod process;
pub mod reading;
pub mod rows;
pub mod state;
pub mod vcpus;
pub mod vm;
