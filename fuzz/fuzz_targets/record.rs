//! No stored text makes the daemon panic: it is refused, or read, written and decided on.

#![no_main]

use hawser::volume::{
    Contents, Observed, Phase, Purge, Record,
    effect::Effect,
    plan::{self, Ext4OnlineGrow, Step, Want},
    transition::{self, Event, Outside},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    let Ok(record) = serde_json::from_slice::<Record>(json) else { return };
    let written = serde_json::to_vec(&record).expect("a record can be written");
    assert_eq!(serde_json::from_slice::<Record>(&written).expect("and read again"), record);

    let now = record.created_at;
    let events = [
        Event::Booted { boot_id: "boot".into() },
        Event::Swept { dead: Vec::new(), outside: Outside::Free, orphaned_before: now },
        Event::Grow { to: record.spec.size },
        Event::Remove { purge: Purge::Never },
        Event::Undelete { name: record.name.clone() },
    ];
    for event in events {
        // Refused or not: neither may panic.
        let _ = transition::apply(&record, event, now);
    }
    let seen = Observed { provisioned: true, half_made: true, ..Observed::default() };
    for want in [Want::Mounted, Want::Released] {
        let step = plan::next(&record, Some(&seen), want, Ext4OnlineGrow::Possible, now);
        let kept = record.contents == Contents::Formatted
            && matches!(record.phase, Phase::Creating | Phase::Ready);
        assert!(!kept || step != Step::Do(Effect::Destroy));
    }
});
