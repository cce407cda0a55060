//! docs/comparison.md is what was measured.

use crate::support::docs::hold;

#[expect(dead_code, reason = "what measures is in `make faults`")]
#[path = "../faults/table.rs"]
mod table;

use table::contestants::Contestant;
use table::results::Results;
use table::{CLASSES, render};

#[test]
fn each_fault_is_measured_and_the_page_says_so() {
    let results = Results::read();
    for fault in CLASSES.iter().flat_map(|class| class.faults) {
        for contestant in Contestant::ALL {
            let cell = format!("{} / {}", fault.name, contestant.name());
            assert!(
                results.get(fault, contestant).is_some(),
                "{cell} is not measured: make faults"
            );
        }
    }
    hold("docs/comparison.md", &render::page(CLASSES, &results));
}
