//! The faults, whom they meet, and what came of them.

mod admin;
mod config;
pub(crate) mod contestants;
mod daemon;
pub(crate) mod fault;
mod hosts;
pub(crate) mod render;
pub(crate) mod results;
mod supervisor;

use fault::Class;

pub(crate) const CLASSES: &[Class] = &[
    Class {
        name: "Config",
        faults: config::FAULTS,
    },
    Class {
        name: "Daemon",
        faults: daemon::FAULTS,
    },
    Class {
        name: "Host",
        faults: hosts::FAULTS,
    },
    Class {
        name: "Supervisor",
        faults: supervisor::FAULTS,
    },
    Class {
        name: "Admin",
        faults: admin::FAULTS,
    },
];
