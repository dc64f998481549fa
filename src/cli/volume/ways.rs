//! How a node shares a volume with others, in words.

use crate::{
    engine::{ServerState, Ways},
    share::tunnel::Figures,
    spec::Bytes,
};

/// What it does, and how that goes.
pub(super) fn told(ways: &Ways) -> Vec<(&'static str, String)> {
    let serves = ways.serves.iter().map(|serves| {
        let server = match serves.server {
            ServerState::Answers => "its NFS server answers",
            ServerState::Silent => "its NFS server runs and does not answer",
            ServerState::Ended => "its NFS server has ended, and is started again",
        };
        ("serves it:", format!("{server}; {}", carried(serves.tunnel.as_ref())))
    });
    let reaches = ways.reaches.iter().map(|reaches| {
        let mounted = if reaches.mounted { "mounted" } else { "not mounted" };
        let carried = carried(reaches.tunnel.as_ref());
        ("reaches it:", format!("through {}, {mounted}; {carried}", reaches.through))
    });
    serves.chain(reaches).collect()
}

fn carried(figures: Option<&Figures>) -> String {
    let Some(figures) = figures else { return "the tunnel does not answer".to_owned() };
    let bytes = |bytes: u64| Bytes::new(bytes).rounded();
    let mut said = format!("the tunnel has {} connections", figures.open);
    if figures.waiting > 0 {
        said += &format!(" and {} that wait for the owner", figures.waiting);
    }
    said += &format!(", {} sent, {} received", bytes(figures.sent), bytes(figures.received));
    let refused: u64 = figures.refused.values().sum();
    if let Some(last) = &figures.last_error {
        said += &format!(", {refused} refused, the last one at {}: {}", last.at, last.text);
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Reaches, Serves};

    /// As the tunnel writes it.
    fn figures(json: &str) -> Figures {
        serde_json::from_str(json).unwrap()
    }

    const WAITING: &str = r#"{"open": 0, "waiting": 1, "opened": 3, "sent": 2048, "received": 0,
        "refused": {"unreachable": 4, "no_server": 1},
        "last_error": {"at": "2026-01-02T03:04:05Z", "reason": "unreachable", "text": "no route"}}"#;

    #[test]
    fn a_way_that_is_held_up_says_since_when_and_why() {
        let reaches = Reaches {
            through: "n1".parse().unwrap(),
            mounted: true,
            tunnel: Some(figures(WAITING)),
        };

        let told = told(&Ways { serves: None, reaches: Some(reaches) });

        let [(what, how)] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!(*what, "reaches it:");
        for words in
            ["through n1, mounted", "1 that wait", "2K", "5 refused", "03:04:05Z: no route"]
        {
            assert!(how.contains(words), "{words} is not in {how}");
        }
    }

    #[test]
    fn a_tunnel_that_does_not_answer_is_said_and_not_taken_for_one_without_traffic() {
        let serves = Serves { server: ServerState::Silent, tunnel: None };

        let told = told(&Ways { serves: Some(serves), reaches: None });

        let how = "its NFS server runs and does not answer; the tunnel does not answer";
        assert_eq!(told, [("serves it:", how.to_owned())]);
    }
}
