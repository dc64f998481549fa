//! Every event in every state: what it does there. `·` nothing, `+` a change, else the refusal.

use std::{collections::BTreeMap, fmt::Write};

use uuid::Uuid;

use super::*;
use crate::{
    spec::{AttachPolicy, FsType, Scale, Spec},
    volume::{
        Claim, Lease, Membership, MountId, Owner,
        testing::{grow, grown, made, new_record, on_ebs, removed_record, spec},
    },
};

const TABLE: &str = "
                 creating    blank  halfway     free  growing   behind     held   parked   sticky  removed retained      duecondemned      ebs   frozen  inherit    owned  fencing    group   member  claimed     idle    users
Provisioned             +        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·
CreationFailed          +        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·
FormatBegun             +        +        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·
Formatted               +        +        +        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·
Mount                   +        +        +        +        +        +        +        +        +  removed  removed  removed  removed        +        +        +        +        +    group        +        +        +        +
Unmount                 ·        ·        ·        ·        ·        ·        +        +        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        +        ·        ·
Unmount, held           ·        ·        ·        ·        ·        ·        +        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        +        ·        ·
Abandon                 ·        ·        ·        ·        ·        ·        +        +        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        +        ·        ·
Swept                   ·        ·        ·        ·        ·        ·        +        +        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        +        ·        ·
Booted                  ·        ·        ·        ·        ·        ·        +        +        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        +        ·        ·
Grow                    +        +        +        +        ·        +        +        +        +  removed  removed  removed  removed        +        +        +        +        +        +        +        +        +        +
Grow, smaller      shrink   shrink   shrink   shrink   shrink   shrink   shrink   shrink   shrink  removed  removed  removed  removed   shrink   shrink   shrink   shrink   shrink   shrink   shrink   shrink   shrink   shrink
StorageGrown            +        +        +        +        +        +        +        +        +        +        +        +        +        +        +        +        +        +        +        +        +        +        +
GrowFailed              ·        ·        ·        ·        +        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·
FileSystemGrown         ·        ·        ·        ·        ·        +        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·
StorageGone             ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        +        ·        ·        ·        ·        ·        ·        ·        ·        ·
Recognised              ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        +        ·        ·        ·        ·        ·        ·        ·
FreezeBegun             +        +        +        +        +        +        +        +        +  removed  removed  removed  removed        +        ·        +        +        +        +        +        +        +        +
Thawed                  ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        +        ·        ·        ·        ·        ·        ·        ·        ·
Remove                  +        +        +        +        +        +     held     held   sticky        ·        ·        ·        ·        +        +        +        +        +        +        +     held        +    users
Purge              not-rm   not-rm   not-rm   not-rm   not-rm   not-rm   not-rm   not-rm   not-rm        +        +        ·        ·   not-rm   not-rm   not-rm   not-rm   not-rm   not-rm   not-rm   not-rm   not-rm   not-rm
Condemned               ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        +        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·
Undelete           not-rm   not-rm   not-rm   not-rm   not-rm   not-rm   not-rm   not-rm   not-rm        +        +   purged   purged   not-rm   not-rm   not-rm   not-rm   not-rm   not-rm   not-rm   not-rm   not-rm   not-rm
Rename                  +        +        +        +        +        +     held     held        +  removed  removed  removed  removed        +        +        +        +        +    group        +     held        +    users
Set                     +        +        +        +        +        +        +        +        +  removed  removed  removed  removed        +        +        +        +        +        +        +        +        +        +
Claimed                 +        +        +        +        +        +        +        +        +        +        +        +        +        +        +        +        +        +        +        +        +        +        +
Fenced                  ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        +        ·        ·        ·        ·        ·
Disowned                ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        +        ·        ·        ·        ·        ·        ·
Joined                  +        +        +        +        +        +        +        +        +  removed  removed  removed  removed        +        +        +        +        +        +        +        +        +        ·
NodeGone                ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        +
NodeGone, mine          ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        +        +        ·        ·        ·        ·        ·
MountMember       claimed  claimed  claimed  claimed  claimed  claimed  claimed  claimed  claimed  removed  removed  removed  removed  claimed  claimed  claimed  claimed  claimed  claimed        +        +        +  claimed
Member, for web   claimed  claimed  claimed  claimed  claimed  claimed  claimed  claimed  claimed  removed  removed  removed  removed  claimed  claimed  claimed  claimed  claimed  claimed  claimed  claimed        +  claimed
Member, db's      claimed  claimed  claimed  claimed  claimed  claimed  claimed  claimed  claimed  removed  removed  removed  removed  claimed  claimed  claimed  claimed  claimed  claimed        +  claimed  claimed  claimed
Unclaimed               ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        +        ·
Raised              1 vol    1 vol    1 vol    1 vol    1 vol    1 vol    1 vol    1 vol    1 vol  removed  removed  removed  removed    1 vol    1 vol    1 vol    1 vol    1 vol        +    1 vol    1 vol    1 vol    1 vol
Left                    ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        ·        +";

fn states() -> Vec<(&'static str, Record)> {
    let sticky = Changes { sticky: Some(Sticky::Yes), ..Changes::default() };
    vec![
        ("creating", new_record()),
        ("blank", Volume(new_record()).then(made()).0),
        ("halfway", Record { contents: Contents::Formatting, ..used_record() }),
        ("free", used_record()),
        ("growing", Volume::free().then(grow(20)).0),
        ("behind", Record { file_system_behind: true, ..used_record() }),
        ("held", Volume::free().then(mount("web")).0),
        ("parked", Volume::free().then(mount("web")).then(unmount("web", Outside::Held)).0),
        ("sticky", Volume::free().then(Event::Set(sticky)).0),
        ("removed", removed_record(Purge::At(at(60)))),
        ("retained", removed_record(Purge::Never)),
        ("due", removed_record(Purge::At(START))),
        ("condemned", removed_record(Purge::Condemned(START))),
        ("ebs", on_ebs(used_record(), AttachPolicy::Stay)),
        ("frozen", Record { frozen: true, ..used_record() }),
        ("inherit", Record { contents: Contents::Inherited, ..used_record() }),
        ("owned", Record { lease: Lease::first(owner("a")), ..used_record() }),
        (
            "fencing",
            Record { lease: Lease::first(owner("b")).claimed_by(owner("a")), ..used_record() },
        ),
        (
            "group",
            Record { spec: Spec { scale: Scale::try_from(3).ok(), ..spec() }, ..used_record() },
        ),
        ("member", member()),
        ("claimed", Volume(member()).then(mount_member("web", None)).0),
        ("idle", Record { member: claimed_member(), ..used_record() }),
        ("users", Record { users: ["b".parse().unwrap()].into(), ..used_record() }),
    ]
}

fn member() -> Record {
    let group = "6ba7b811-9dad-41d1-80b4-00c04fd430c8".parse().unwrap();
    let name = "elk".parse().unwrap();
    let member = Membership { group, name, number: 1, claim: None, before: None, last: None };
    Record { member: Some(member), ..used_record() }
}

fn claimed_member() -> Option<Membership> {
    let claim = Claim { node: None, id: MountId::from("web".to_owned()) };
    member().member.map(|member| Membership { claim: Some(claim), ..member })
}

fn mount_member(id: &str, instead_of: Option<&str>) -> Event {
    let claim = |id: &str| Claim { node: None, id: MountId::from(id.to_owned()) };
    let Event::Mount { epoch, inherited, .. } = mount(id) else { unreachable!("it is a Mount") };
    Event::MountMember { claim: claim(id), instead_of: instead_of.map(claim), epoch, inherited }
}

fn owner(node: &str) -> Owner {
    Owner { node: node.parse().unwrap(), machine: None }
}

fn events() -> Vec<(&'static str, Event)> {
    let labels = BTreeMap::from([("team".to_owned(), "web".to_owned())]);
    vec![
        ("Provisioned", made()),
        ("CreationFailed", Event::CreationFailed),
        ("FormatBegun", Event::FormatBegun),
        ("Formatted", Event::Formatted),
        ("Mount", mount("web")),
        ("Unmount", unmount("web", Outside::Free)),
        ("Unmount, held", unmount("web", Outside::Held)),
        ("Abandon", abandon("web", Outside::Free)),
        ("Swept", sweep(&["web"], Outside::Free, 0)),
        ("Booted", Event::Booted { boot_id: "boot-2".into() }),
        ("Grow", grow(20)),
        ("Grow, smaller", grow(5)),
        ("StorageGrown", grown(20)),
        ("GrowFailed", Event::GrowFailed),
        ("FileSystemGrown", Event::FileSystemGrown),
        ("StorageGone", Event::StorageGone),
        ("Recognised", Event::Recognised { fs: FsType::Xfs, uuid: Uuid::nil() }),
        ("FreezeBegun", Event::FreezeBegun),
        ("Thawed", Event::Thawed),
        ("Remove", remove()),
        ("Purge", Event::Purge),
        ("Condemned", Event::Condemned),
        ("Undelete", Event::Undelete { name: "back".parse().unwrap() }),
        ("Rename", Event::Rename { to: "other".parse().unwrap() }),
        ("Set", Event::Set(Changes { labels, ..Changes::default() })),
        ("Claimed", Event::Claimed { lease: Lease::first(owner("c")) }),
        ("Fenced", Event::Fenced),
        ("Disowned", Event::Disowned),
        ("Joined", Event::Joined { node: "b".parse().unwrap() }),
        ("NodeGone", Event::NodeGone { node: "b".parse().unwrap() }),
        ("NodeGone, mine", Event::NodeGone { node: "a".parse().unwrap() }),
        ("MountMember", mount_member("web", None)),
        ("Member, for web", mount_member("db", Some("web"))),
        ("Member, db's", mount_member("db", None)),
        ("Unclaimed", Event::Unclaimed { node: None }),
        ("Raised", Event::Raised { to: Scale::try_from(5).unwrap() }),
        ("Left", Event::Left { node: "b".parse().unwrap() }),
    ]
}

/// A new event does not compile here until it has a row above.
const fn has_a_row(event: &Event) {
    match event {
        Event::Provisioned { .. } | Event::StorageGone | Event::Recognised { .. } => {}
        Event::CreationFailed | Event::FormatBegun | Event::Formatted => {}
        Event::Mount { .. } | Event::Unmount { .. } | Event::Abandon { .. } => {}
        Event::Swept { .. } | Event::Booted { .. } | Event::Grow { .. } => {}
        Event::StorageGrown { .. } | Event::GrowFailed | Event::FileSystemGrown => {}
        Event::FreezeBegun | Event::Thawed => {}
        Event::Claimed { .. } | Event::Fenced | Event::Disowned => {}
        Event::Joined { .. } | Event::Left { .. } | Event::NodeGone { .. } => {}
        Event::Remove { .. } | Event::Purge | Event::Condemned | Event::Undelete { .. } => {}
        Event::Rename { .. } | Event::Set(_) => {}
        Event::MountMember { .. } | Event::Unclaimed { .. } | Event::Raised { .. } => {}
    }
}

const fn word(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Held(_) => "held",
        Refusal::Claimed(_) => "claimed",
        Refusal::Members(_) => "members",
        Refusal::Group => "group",
        Refusal::NoGroup => "1 vol",
        Refusal::HeldElsewhere(_) => "users",
        Refusal::Elsewhere(_) => "other",
        Refusal::Removed => "removed",
        Refusal::NotRemoved => "not-rm",
        Refusal::Purged => "purged",
        Refusal::Sticky => "sticky",
        Refusal::Shrink { .. } => "shrink",
        Refusal::NotGrown(_) => "as-was",
        Refusal::Thick => "thick",
        Refusal::Unused => "unused",
        Refusal::Directory => "no-fs",
        Refusal::Full { .. } => "full",
    }
}

#[test]
fn every_event_does_in_every_state_what_the_table_says() {
    let states = states();
    let mut table = format!("{:16}", "");
    for (name, _) in &states {
        write!(table, "{name:>9}").unwrap();
    }
    for (name, event) in events() {
        has_a_row(&event);
        write!(table, "\n{name:16}").unwrap();
        for (_, record) in &states {
            let cell = match apply(record, event.clone(), START) {
                Ok(next) if next == *record => "·",
                Ok(_) => "+",
                Err(refusal) => word(&refusal),
            };
            write!(table, "{cell:>9}").unwrap();
        }
    }
    assert_eq!(table, TABLE.trim_start_matches('\n'), "\n{table}\n");
}

/// What a client sees: a short sentence for each, that names the way out where there is one.
#[test]
fn every_refusal_is_a_sentence() {
    for (refusal, sentence) in [
        (Refusal::Held("mount a, mount b".into()), "it is in use here by mount a, mount b"),
        (Refusal::Removed, "it was removed (hawser volume undelete brings it back)"),
        (Refusal::NotRemoved, "it is not removed"),
        (Refusal::Purged, "its data is being deleted: it is too late to bring it back"),
        (
            Refusal::Sticky,
            "it is sticky: `hawser volume set NAME -o sticky=false` allows its removal",
        ),
    ] {
        assert_eq!(refusal.to_string(), sentence);
    }
}
