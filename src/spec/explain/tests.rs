use super::*;
use crate::spec::{Asked, parse};

fn explained(text: &str) -> Explanation {
    match parse(text, []) {
        Ok(Asked::Volume(request)) => explain(&request, &Defaults::of_tests()),
        other => panic!("{text}: {other:?}"),
    }
}

fn field<'a>(explanation: &'a Explanation, key: &str) -> (&'a str, String) {
    let field = explanation.fields.iter().find(|field| field.key == key).unwrap();
    (&field.value, field.source.to_string())
}

#[test]
fn every_field_says_where_it_comes_from() {
    let explanation = explained("pg,newFsType=xfs,sparse=on,label.team=web,repl=1");
    assert_eq!(explanation.canonical, "name=pg,fs=xfs,provision=thin,label.team=web");
    assert_eq!(field(&explanation, "fs"), ("xfs", "stated as newFsType".to_owned()));
    assert_eq!(field(&explanation, "provision"), ("thin", "stated as sparse".to_owned()));
    assert_eq!(field(&explanation, "size"), ("10GiB", "default".to_owned()));
    assert_eq!(field(&explanation, "label.team"), ("web", "stated".to_owned()));
    assert_eq!(field(&explanation, "backend"), ("local", "chosen by sparse".to_owned()));
    assert_eq!(explanation.notes, ["repl=1 asks for nothing beyond what holds anyway"]);
    assert_eq!(explanation.refused, None);
}

#[test]
fn what_would_be_refused_is_explained_too() {
    let explanation = explained("pg,scale=3");
    assert!(explanation.notes[0].contains("a volume of its own (pg_001 ...)"));
    assert_eq!(explanation.refused, None);
    let explanation = explained("pg,iops=100");
    assert_eq!(explanation.backend, BackendKind::Ebs);
    assert!(explanation.refused.unwrap().contains("`iops` needs the ebs backend"));
}

#[test]
fn how_a_shared_volume_is_reached_is_told() {
    assert!(explained("pg,shared=true").notes[0].contains("through the node that has it"));
}

#[test]
fn the_explanation_is_text_and_json() {
    let explanation = explained("pg,size=20");
    let text = explanation.to_string();
    assert!(text.starts_with("volume     pg\ncanonical  name=pg,size=20GiB\n\n  size"), "{text}");
    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(json["fields"][0]["key"], "size");
    assert_eq!(json["fields"][0]["source"], "stated");
    let json = serde_json::to_value(explained("pg,fsType=xfs")).unwrap();
    assert_eq!(json["fields"][2]["source"], serde_json::json!({ "stated_as": "fsType" }));
}

#[test]
fn an_nfs_volume_is_explained_with_what_was_configured() {
    let explained = |text: &str| match parse(text, []) {
        Ok(Asked::Volume(request)) => explain(&request, &Defaults::with_nfs()),
        other => panic!("{text}: {other:?}"),
    };
    let explanation = explained("pg,backend=nfs");
    assert_eq!(explanation.refused, None);
    assert_eq!(field(&explanation, "export"), ("fast", "default".to_owned()));
    assert_eq!(field(&explanation, "path"), ("pg", "default".to_owned()));
    assert_eq!(field(&explanation, "layout"), ("directory", "default".to_owned()));
    assert_eq!(field(&explanation, "shared"), ("true", "default".to_owned()));
    assert!(explanation.fields.iter().all(|field| !field.key.starts_with("fs")));
    assert!(explanation.notes[0].contains("its size is accounted for, not enforced"));
    let explanation = explained("pg,export=slow,shared=false");
    assert_eq!(field(&explanation, "backend"), ("nfs", "chosen by export".to_owned()));
    assert!(explanation.notes[0].contains("shared=false is not enforced"));
    let explanation = explained("pg,mode=image,fs=xfs");
    assert_eq!(field(&explanation, "layout"), ("image", "stated as mode".to_owned()));
    assert_eq!(field(&explanation, "fs"), ("xfs", "stated".to_owned()));
    assert!(explanation.notes[0].contains("its size is enforced"));
    assert!(explanation.fields.iter().all(|field| field.key != "path"));
    let explanation = explained("pg,export=fast,fs=xfs");
    assert_eq!(field(&explanation, "fs"), ("xfs", "stated".to_owned()));
    assert!(explanation.refused.unwrap().contains("write layout=image"));
}

#[test]
fn an_ebs_volume_is_explained_with_what_was_configured() {
    let mut defaults = Defaults::with_ebs();
    defaults.ebs.as_mut().unwrap().kms_key = Some("alias/k".to_owned());
    let explained = |text: &str| match parse(text, []) {
        Ok(Asked::Volume(request)) => explain(&request, &defaults),
        other => panic!("{text}: {other:?}"),
    };
    let explanation = explained("pg,size=1536M,attach=follow,shared=true");
    assert_eq!(explanation.refused, None);
    assert_eq!(field(&explanation, "type"), ("gp3", "default".to_owned()));
    assert_eq!(field(&explanation, "iops"), ("3000", "default".to_owned()));
    assert_eq!(field(&explanation, "throughput"), ("125", "default".to_owned()));
    assert_eq!(field(&explanation, "encrypted"), ("true", "default".to_owned()));
    assert_eq!(field(&explanation, "kms_key"), ("alias/k", "default".to_owned()));
    assert_eq!(field(&explanation, "zone"), ("this node's", "default".to_owned()));
    assert_eq!(field(&explanation, "attach"), ("follow", "stated".to_owned()));
    assert_eq!(field(&explanation, "preempt"), ("dead-only", "default".to_owned()));
    assert!(explanation.notes[0].contains("through the node that has it"));
    assert_eq!(explanation.notes[1], "EBS has whole GiB: the volume is made with 2GiB");
    let explanation = explained("pg,encrypted=false,type=st1,size=200");
    assert_eq!(field(&explanation, "kms_key"), ("the account's", "default".to_owned()));
    assert_eq!(field(&explanation, "iops"), ("none to choose", "default".to_owned()));
    let explanation = explained("pg,snapshot=snap-01234567");
    assert_eq!(field(&explanation, "fs"), ("the snapshot's", "default".to_owned()));
    assert!(explanation.notes[0].contains("the size must be the snapshot's or more"));
    let explanation = explained("pg,kms_key=alias/l");
    assert!(explanation.notes[0].contains("encrypted=true follows"));
    let explanation = explained("pg,type=io1");
    assert!(explanation.refused.unwrap().contains("it needs iops"));
}
