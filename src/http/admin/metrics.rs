//! Figures for Prometheus, in its text format: what volumes there are, and what this node shares.
//!
//! Everything is asked for when the page is, and nothing is kept in between. Counters are the
//! tunnel's, which outlives the daemon; they begin anew with a new tunnel.

use axum::{
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use prometheus::{
    IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TEXT_FORMAT, TextEncoder, core::Collector,
};

use super::ApiError;
use crate::{
    engine::{Carried, CarriedVolume, CarriedWay, Engine, View},
    share::tunnel::{Figures, Status},
};

pub(super) async fn page(State(engine): State<Engine>) -> Result<Response, ApiError> {
    let text = text(&engine.list(), &engine.carried().await)?;
    Ok(([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response())
}

fn text<V: AsRef<View>>(views: &[V], carried: &Carried) -> prometheus::Result<String> {
    let registry = Registry::new();
    volumes(&registry, views)?;
    let shares = Shares::new(&registry)?;
    for volume in &carried.volumes {
        shares.add(volume);
    }
    if !carried.volumes.is_empty() || carried.tunnel.is_some() {
        tunnel(&registry, carried.tunnel.as_ref())?;
    }
    TextEncoder::new().encode_to_string(&registry.gather())
}

fn volumes<V: AsRef<View>>(registry: &Registry, views: &[V]) -> prometheus::Result<()> {
    let version = gauges(registry, "hawser_info", "The daemon's version.", &["version"])?;
    version.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    let help = "Volumes that this node knows, by their state here.";
    let count = gauges(registry, "hawser_volumes", help, &["state"])?;
    for view in views {
        count.with_label_values(&[view.as_ref().state().as_str()]).inc();
    }
    Ok(())
}

/// Of each volume and way. `side` is what this node does: it serves the volume, or it reaches it.
struct Shares {
    serves: IntGaugeVec,
    users: IntGaugeVec,
    reaches: IntGaugeVec,
    connections: IntGaugeVec,
    opened: IntCounterVec,
    sent: IntCounterVec,
    received: IntCounterVec,
    refused: IntCounterVec,
    last_error: IntGaugeVec,
}

impl Shares {
    fn new(registry: &Registry) -> prometheus::Result<Self> {
        let gauges = |name, help, labels: &[&str]| gauges(registry, name, help, labels);
        let counters = |name, help, labels: &[&str]| {
            registered(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let side = ["volume", "side"];
        Ok(Self {
            serves: gauges(
                "hawser_share_server_up",
                "Whether the NFS server of a volume that this node serves lives.",
                &["volume"],
            )?,
            users: gauges(
                "hawser_share_users",
                "Nodes that reach a volume which this node serves.",
                &["volume"],
            )?,
            reaches: gauges(
                "hawser_share_mounted",
                "Whether a volume of another node is mounted here.",
                &["volume", "owner"],
            )?,
            connections: gauges(
                "hawser_tunnel_connections",
                "Connections that carry bytes (open), or wait for the owner (waiting).",
                &["volume", "side", "state"],
            )?,
            opened: counters(
                "hawser_tunnel_connections_opened_total",
                "Connections that carried bytes.",
                &side,
            )?,
            sent: counters("hawser_tunnel_sent_bytes_total", "Bytes to other nodes.", &side)?,
            received: counters(
                "hawser_tunnel_received_bytes_total",
                "Bytes from other nodes.",
                &side,
            )?,
            refused: counters(
                "hawser_tunnel_refused_total",
                "Connections that carried nothing, by the reason (docs/sharing.md).",
                &["volume", "side", "reason"],
            )?,
            last_error: gauges(
                "hawser_tunnel_last_error_timestamp_seconds",
                "When a connection last carried nothing.",
                &side,
            )?,
        })
    }

    fn add(&self, volume: &CarriedVolume) {
        let id = || volume.id.to_string();
        let name = volume.name.as_ref().map_or_else(id, ToString::to_string);
        let side = match &volume.way {
            CarriedWay::Serves { lives, users } => {
                self.serves.with_label_values(&[name.as_str()]).set(i64::from(*lives));
                self.users.with_label_values(&[name.as_str()]).set(signed(*users as u64));
                "serves"
            }
            CarriedWay::Reaches { through, mounted } => {
                let labels = [name.as_str(), through.as_str()];
                self.reaches.with_label_values(&labels).set(i64::from(*mounted));
                "reaches"
            }
        };
        if let Some(figures) = &volume.figures {
            self.carried(&name, side, figures);
        }
    }

    fn carried(&self, volume: &str, side: &str, figures: &Figures) {
        for (state, count) in [("open", figures.open), ("waiting", figures.waiting)] {
            self.connections.with_label_values(&[volume, side, state]).set(signed(count));
        }
        let labels = [volume, side];
        self.opened.with_label_values(&labels).inc_by(figures.opened);
        self.sent.with_label_values(&labels).inc_by(figures.sent);
        self.received.with_label_values(&labels).inc_by(figures.received);
        for (reason, count) in &figures.refused {
            let reason = reason.to_string();
            self.refused.with_label_values(&[volume, side, &reason]).inc_by(*count);
        }
        if let Some(last) = &figures.last_error {
            self.last_error.with_label_values(&labels).set(last.at.as_second());
        }
    }
}

/// The tunnel itself, where there is one or should be.
fn tunnel(registry: &Registry, status: Option<&Status>) -> prometheus::Result<()> {
    let up = gauge(registry, "hawser_tunnel_up", "Whether this node's tunnel answers.")?;
    up.set(i64::from(status.is_some()));
    let Some(status) = status else { return Ok(()) };
    let help = "What of the tunnel's table is not in force.";
    gauge(registry, "hawser_tunnel_failures", help)?.set(signed(status.failures.len() as u64));
    let help = "When the tunnel was started.";
    gauge(registry, "hawser_tunnel_start_time_seconds", help)?.set(status.started_at.as_second());
    let help = "Connections refused before it was known which volume they want.";
    let strangers = prometheus::IntCounter::new("hawser_tunnel_strangers_total", help)?;
    registered(registry, strangers)?.inc_by(status.strangers);
    Ok(())
}

fn gauge(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntGauge> {
    registered(registry, IntGauge::new(name, help)?)
}

fn gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntGaugeVec> {
    registered(registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

/// Prometheus' gauges are signed.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::VolumeId;

    const STATUS: &str = r#"{"pid": 7, "version": "0", "table_version": 1,
        "started_at": "2026-01-02T03:04:05Z",
        "protection": {"locked": true, "io_flusher": true, "oom": true},
        "failures": ["x"], "strangers": 2, "exports": [], "remotes": []}"#;
    const FIGURES: &str = r#"{"open": 1, "waiting": 2, "opened": 3, "sent": 40, "received": 50,
        "refused": {"old_epoch": 6},
        "last_error": {"at": "1970-01-01T00:01:40Z", "reason": "old_epoch", "text": "old"}}"#;

    fn volume(way: CarriedWay) -> CarriedVolume {
        CarriedVolume {
            name: Some("site".parse().unwrap()),
            id: VolumeId::random(),
            way,
            figures: Some(serde_json::from_str(FIGURES).unwrap()),
        }
    }

    #[track_caller]
    fn assert_has(text: &str, lines: &[&str]) {
        for line in lines {
            assert!(text.lines().any(|found| found == *line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn every_figure_of_a_shared_volume_is_on_the_page() {
        let serves = volume(CarriedWay::Serves { lives: true, users: 2 });
        let through = "n2".parse().unwrap();
        let reaches = volume(CarriedWay::Reaches { through, mounted: false });
        let tunnel = Some(serde_json::from_str(STATUS).unwrap());

        let carried = Carried { volumes: vec![serves, reaches], tunnel };
        let page = text::<Box<View>>(&[], &carried).unwrap();

        assert_has(
            &page,
            &[
                r#"hawser_share_server_up{volume="site"} 1"#,
                r#"hawser_share_users{volume="site"} 2"#,
                r#"hawser_share_mounted{owner="n2",volume="site"} 0"#,
                r#"hawser_tunnel_connections{side="serves",state="open",volume="site"} 1"#,
                r#"hawser_tunnel_connections{side="reaches",state="waiting",volume="site"} 2"#,
                r#"hawser_tunnel_connections_opened_total{side="serves",volume="site"} 3"#,
                r#"hawser_tunnel_sent_bytes_total{side="serves",volume="site"} 40"#,
                r#"hawser_tunnel_received_bytes_total{side="reaches",volume="site"} 50"#,
                r#"hawser_tunnel_last_error_timestamp_seconds{side="serves",volume="site"} 100"#,
                "hawser_tunnel_up 1",
                "hawser_tunnel_failures 1",
                "hawser_tunnel_strangers_total 2",
            ],
        );
        assert!(page.contains("# TYPE hawser_tunnel_sent_bytes_total counter"), "{page}");
        let refused = page.lines().find(|line| line.starts_with("hawser_tunnel_refused_total"));
        assert!(refused.is_some_and(|line| line.contains(r#"reason="old_epoch""#)), "{page}");
    }

    #[test]
    fn a_tunnel_that_should_answer_is_down_and_one_that_nobody_needs_is_not_mentioned() {
        let serves = volume(CarriedWay::Serves { lives: false, users: 0 });
        let silent = Carried { volumes: vec![serves], tunnel: None };

        assert_has(&text::<Box<View>>(&[], &silent).unwrap(), &["hawser_tunnel_up 0"]);
        let alone = text::<Box<View>>(&[], &Carried::default()).unwrap();
        assert!(!alone.contains("tunnel") && alone.contains("hawser_info{"), "{alone}");
    }
}
