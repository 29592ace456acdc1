//! Draws a story: a small cast, what people and tools do, and what goes wrong meanwhile. The result is a scenario script.
//!
//! What the menu does not hold is drawn and left out, so that a seed tells the same story with one line more or less.

use super::draw::Draw;
use super::menu::{Act, Ingredient, Menu};
use crate::fault::FaultKind;

const NAMES: [&str; 3] = ["web", "cart", "mail"];
/// Everybody is told everything.
const NOTIFY: &str = "object <<
apiVersion: trimtab.dev/v1alpha1
kind: FleetPolicy
metadata: {name: everyone}
spec: {notify: {webhook: {url: \"https://hooks.example/releases\"}}}
.";
/// Resources that managers read or write.
const RESOURCES: [&str; 5] =
    ["managedapps.trimtab.dev", "appreleases.trimtab.dev", "deployments.apps", "replicasets.apps", "pods"];
/// Resources whose writes have others after them.
const AWAITED: [&str; 2] = ["appreleases.trimtab.dev", "deployments.apps"];

/// Acts by how often they are drawn.
const ACTS: [Act; 24] = [
    Act::DeployGood,
    Act::DeployGood,
    Act::DeployGood,
    Act::DeployGood,
    Act::DeployBad,
    Act::DeployBad,
    Act::DeployBad,
    Act::DeployBad,
    Act::DeployCrashing,
    Act::DeployCrashing,
    Act::Reapply,
    Act::Reapply,
    Act::Reapply,
    Act::Undo,
    Act::Keep,
    Act::Keep,
    Act::RollBack,
    Act::Pause,
    Act::Scale,
    Act::Unclaim,
    Act::EditWatch,
    Act::EditStrategy,
    Act::DeleteDeployment,
    Act::KillManager,
];

/// Acts that now and then follow another one.
const AFTERWARDS: [Act; 4] = [Act::GoBack, Act::GoBack, Act::SecondService, Act::DeploySlowlyBad];

/// How versions crash.
const CRASHES: [&str; 4] = ["-panic5s", "-panic20s", "-oom15s", "-neverready"];
/// How a Deployment behaves that is made again.
const REMADE: [&str; 3] = ["", "", "-errors60"];

struct Actor {
    name: &'static str,
    rate: usize,
    versions: usize,
    bad: Option<String>,
}

impl Actor {
    fn next(&mut self, behaviour: &str) -> String {
        self.versions += 1;
        format!("shop/{}:v{}{behaviour}", self.name, self.versions)
    }
}

/// The lines of the story that follows from `seed`. A line may hold a block of several.
pub(crate) fn draw(seed: u64, menu: &Menu) -> Vec<String> {
    let mut cast = Draw::new(seed, "cast");
    let mut lines = Vec::new();
    let count = [1, 1, 1, 1, 2, 2, 3][cast.below(7)];
    let mut actors: Vec<Actor> = Vec::new();
    for name in NAMES.into_iter().take(count) {
        let rate = *cast.pick(&[10, 20, 40]);
        let replicas = cast.between(2, 4);
        lines
            .push(format!("service {name} replicas={replicas} rps={rate} deadline=120 image=shop/{name}:v1"));
        actors.push(Actor { name, rate, versions: 1, bad: None });
    }
    lines.push(NOTIFY.to_owned());
    lines.push("advance 2m".to_owned());
    lines.push("start manager".to_owned());
    let skew = *cast.pick(&["", " skew=40s", " skew=-40s", " skew=10m"]);
    if cast.chance(0.5) && menu.has(Ingredient::Act(Act::SecondManager)) {
        lines.push("advance 1s".to_owned());
        lines.push(format!("start manager{skew}"));
    }
    for actor in &actors {
        lines.push(format!("claim {} watch={}", actor.name, cast.pick(&["1m", "2m", "3m"])));
    }
    lines.push("settle".to_owned());
    let mut plot = Draw::new(seed, "plot");
    let steps = plot.between(3, 8);
    let faults = plot.below(5);
    let times: Vec<usize> = (0..faults).map(|_| plot.below(steps)).collect();
    for step in 0..steps {
        for fault in (0..faults).filter(|fault| times[*fault] == step) {
            draw_fault(&mut Draw::new(seed, format!("fault {fault}")), menu, &mut lines);
        }
        let mut draw = Draw::new(seed, format!("step {step}"));
        let which = draw.below(actors.len());
        let first = *draw.pick(&ACTS);
        act(first, &mut draw, &mut actors[which], menu, &mut lines);
        lines.push(pace(&mut draw));
        let mut more = Draw::new(seed, format!("after step {step}"));
        if more.chance(0.2) {
            let next = *more.pick(&AFTERWARDS);
            act(next, &mut more, &mut actors[which], menu, &mut lines);
            lines.push(pace(&mut more));
        }
    }
    lines
}

/// Time that passes until somebody does the next thing: often little, sometimes until the manager is in mid-work.
fn pace(draw: &mut Draw) -> String {
    if draw.chance(0.3) {
        return format!("await write {}", draw.pick(&AWAITED));
    }
    format!("advance {}s", draw.pick(&[1, 3, 7, 12, 20, 35, 60, 90, 150]))
}

fn act(act: Act, draw: &mut Draw, actor: &mut Actor, menu: &Menu, lines: &mut Vec<String>) {
    let name = actor.name;
    let mut drawn = match act {
        Act::DeployGood => {
            let image = actor.next("");
            vec![ship(draw, menu, name, &image)]
        }
        Act::DeployBad => {
            let image = actor.next("-errors60");
            actor.bad = Some(image.clone());
            vec![ship(draw, menu, name, &image)]
        }
        Act::DeploySlowlyBad => {
            let image = actor.next("-errors8");
            actor.bad = Some(image.clone());
            vec![ship(draw, menu, name, &image)]
        }
        Act::DeployCrashing => {
            let how = draw.pick(&CRASHES);
            let image = actor.next(how);
            actor.bad = Some(image.clone());
            vec![ship(draw, menu, name, &image)]
        }
        Act::Reapply => {
            actor.bad.iter().map(|image| format!("apply {name} {image} by argocd-controller")).collect()
        }
        Act::Undo => vec![format!("undo {name}")],
        Act::Keep => vec![format!("decide {name} newest keep because I said so")],
        Act::RollBack => vec![format!("decide {name} newest roll-back because I said so")],
        Act::GoBack => vec![format!("rollback {name} to v{}", draw.between(1, actor.versions))],
        Act::SecondService => {
            let second = format!("a-{name}");
            let spec = format!("spec: {{target: {{name: {name}}}}}\n.");
            let head = format!("kind: ManagedApp\nmetadata: {{name: {second}, namespace: shop}}");
            let object = format!("object <<\napiVersion: {}\n{head}\n{spec}", trimtab_api::API_VERSION);
            vec![object, pace(draw), format!("unclaim {second}")]
        }
        Act::Pause => {
            vec![format!("pause {name} by kubectl"), pace(draw), format!("resume {name} by kubectl")]
        }
        Act::Scale => vec![format!("scale {name} {}", draw.between(2, 5))],
        Act::Unclaim => vec![format!("unclaim {name}"), pace(draw), format!("claim {name} watch=2m")],
        Act::EditWatch => vec![format!("edit {name} watch={}", draw.pick(&["1m", "90s", "4m"]))],
        Act::EditStrategy => {
            vec![format!("edit {name} strategy=Rolling"), pace(draw), format!("edit {name} strategy=Guarded")]
        }
        Act::DeleteDeployment => {
            let how = draw.pick(&REMADE);
            let image = actor.next(how);
            let rate = actor.rate;
            vec![
                format!("delete deployment {name}"),
                pace(draw),
                format!("service {name} replicas=3 rps={rate} deadline=120 image={image}"),
            ]
        }
        Act::KillManager => {
            vec![format!("kill manager {}", draw.between(1, 2)), pace(draw), "start manager".to_owned()]
        }
        // Not acts of their own: they say how others are done.
        Act::SecondManager | Act::Numbered => Vec::new(),
    };
    if menu.has(Ingredient::Act(act)) {
        lines.append(&mut drawn);
    }
}

fn ship(draw: &mut Draw, menu: &Menu, name: &str, image: &str) -> String {
    if draw.chance(0.3) && menu.has(Ingredient::Act(Act::Numbered)) {
        format!("deploy {name} {image}")
    } else {
        format!("apply {name} {image} by argocd-controller")
    }
}

fn draw_fault(draw: &mut Draw, menu: &Menu, lines: &mut Vec<String>) {
    let kind = *draw.pick(&FaultKind::ALL);
    let resource = format!(" resource={}", draw.pick(&RESOURCES));
    let manager = if draw.chance(0.3) { format!(" manager={}", draw.between(1, 2)) } else { String::new() };
    let by = format!(" by={}", draw.pick(&["2s", "6s", "12s", "25s", "45s"]));
    let chance = format!(" chance={}", draw.pick(&["0.1", "0.3", "0.6", "1"]));
    let span = format!(" for={}s", draw.pick(&[5, 15, 30, 60, 120, 240]));
    let narrowed = if draw.chance(0.6) { resource.clone() } else { String::new() };
    let settings = match kind {
        FaultKind::LateEvents => resource + &manager + &by + &span,
        FaultKind::HeldEvents | FaultKind::NoBookmarks => resource + &manager + &span,
        FaultKind::HalfOpen | FaultKind::DroppedWatches | FaultKind::Expired => narrowed + &manager,
        FaultKind::StaleLists | FaultKind::NoAdmission => span,
        FaultKind::Conflict | FaultKind::Throttled | FaultKind::LostRequest | FaultKind::LostAnswer => {
            narrowed + &manager + &chance + &span
        }
        FaultKind::ServerError => {
            format!(" code={}", draw.pick(&[500, 503, 504])) + &narrowed + &manager + &chance + &span
        }
        FaultKind::SlowRequest | FaultKind::SlowAnswer => narrowed + &manager + &by + &chance + &span,
        FaultKind::Partition => format!(" manager={}", draw.between(1, 2)) + &span,
        FaultKind::PrometheusDown | FaultKind::PrometheusSilent => span,
        FaultKind::PrometheusSlow => by + &span,
        FaultKind::PrometheusLag => by + &format!(" share={}", draw.pick(&[30, 60, 100])) + &span,
        FaultKind::PrometheusPartial => format!(" share={}", draw.pick(&[20, 50, 80])) + &span,
    };
    if menu.has(Ingredient::Fault(kind)) {
        lines.push(format!("fault {}{settings}", kind.word()));
    }
}
