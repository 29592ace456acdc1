//! A notification as it would be at three in the morning, and destinations for it.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use trimtab_notify::{
    Baseline, BaselineSource, Counts, Destination, DestinationKind, Event, Evidence, Finding, Notification,
    Ratio, SecretText,
};

pub const TOKEN: &str = "XyZcanaryToken";
pub const SIGNING_KEY: &str = "canary-signing-key";

pub fn rolled_back() -> Notification {
    Notification {
        key: "2f1c/128/rolled-back".to_owned(),
        sequence: 3,
        at: "2026-11-21T03:07:42Z".parse().unwrap(),
        event: Event::RolledBack,
        namespace: "shop".to_owned(),
        service: "payments".to_owned(),
        release: "v128".to_owned(),
        release_number: 128,
        previous: Some("v127".to_owned()),
        tier: Some(1),
        actor: Some("ann@example.com".to_owned()),
        reason:
            "RPC errors rose on the new pods 90 s after the first one was ready, and not on the old ones."
                .to_owned(),
        findings: vec![
            Finding {
                rule: "rpc-errors".to_owned(),
                canary: Counts { bad: 43, total: Some(1_180) },
                baseline: Some(Baseline {
                    source: BaselineSource::Stable,
                    counts: Counts { bad: 9, total: Some(2_391) },
                }),
                ratio: Some(Ratio::new(4.6, 9.68, 20.2)),
            },
            Finding {
                rule: "panics".to_owned(),
                canary: Counts { bad: 2, total: None },
                baseline: Some(Baseline {
                    source: BaselineSource::History,
                    counts: Counts { bad: 0, total: None },
                }),
                ratio: Some(Ratio::new(3.1, f64::INFINITY, f64::INFINITY)),
            },
        ],
        requests_harmed: Some(1_034),
        recovery_seconds: Some(130),
        evidence: Evidence::Sufficient,
        command: "trimtab explain payments v128 -n shop".to_owned(),
    }
}

pub fn started() -> Notification {
    Notification {
        key: "2f1c/128/started".to_owned(),
        sequence: 1,
        event: Event::Started,
        reason: "One new pod of three, judged by 4 rules until 5 min after the last pod is ready.".to_owned(),
        findings: Vec::new(),
        requests_harmed: None,
        recovery_seconds: None,
        ..rolled_back()
    }
}

pub fn kept() -> Notification {
    let mut findings = rolled_back().findings;
    findings.truncate(1);
    findings[0].canary = Counts { bad: 12, total: Some(18_220) };
    findings[0].baseline.as_mut().unwrap().counts = Counts { bad: 21, total: Some(36_104) };
    findings[0].ratio = Some(Ratio::new(0.5, 1.13, 2.4));
    Notification {
        key: "2f1c/128/kept".to_owned(),
        sequence: 2,
        event: Event::Kept,
        reason: "All 4 rules passed; the last one was decided 6 min after the first new pod was ready."
            .to_owned(),
        findings,
        requests_harmed: Some(0),
        recovery_seconds: None,
        ..rolled_back()
    }
}

pub fn kept_on_little_evidence() -> Notification {
    let mut findings = rolled_back().findings;
    findings.truncate(1);
    findings[0].canary = Counts { bad: 0, total: Some(4) };
    findings[0].baseline.as_mut().unwrap().counts = Counts { bad: 0, total: Some(11) };
    findings[0].ratio = None;
    Notification {
        key: "2f1c/128/kept".to_owned(),
        sequence: 2,
        event: Event::Kept,
        reason: "Only 4 requests reached the new pods in 5 min: a regression up to ×30 would not have shown. It stays \
                 watched until 04:07 UTC."
            .to_owned(),
        findings,
        requests_harmed: Some(0),
        recovery_seconds: None,
        evidence: Evidence::Low,
        ..rolled_back()
    }
}

pub fn held() -> Notification {
    Notification {
        event: Event::Held,
        reason:
            "Freeze \"weekend\" until Monday 05:00 UTC. To release it now: trimtab resume payments -n shop \
                 --because \"...\""
                .to_owned(),
        ..started()
    }
}

pub fn needs_human() -> Notification {
    Notification {
        event: Event::NeedsHuman,
        previous: None,
        tier: None,
        actor: None,
        reason: "Another writer (flux, field manager \"kustomize-controller\") restored v128 three times in 10 min. Trimtab \
                 has stopped writing & waits; 2 of 6 pods run <v128>."
            .to_owned(),
        ..started()
    }
}

pub fn slack() -> Destination {
    Destination {
        name: "slack #payments".to_owned(),
        kind: DestinationKind::Slack,
        url: SecretText::new(format!("https://hooks.slack.example/services/T0/B0/{TOKEN}")),
        channel: None,
        token: None,
        signing_key: None,
    }
}

pub fn webhook() -> Destination {
    Destination {
        name: "deploy-log".to_owned(),
        kind: DestinationKind::Webhook,
        url: SecretText::new(format!("https://log.example/in?token={TOKEN}")),
        channel: None,
        token: None,
        signing_key: Some(SecretText::new(SIGNING_KEY.to_owned())),
    }
}
