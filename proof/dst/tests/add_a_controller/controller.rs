//! The controller: what concerns it, what it reads, and which decision it asks.

use jiff::Timestamp;
use trimtab_control::context::Reads;
use trimtab_control::controller::{Controller, Gathered};
use trimtab_kube::Key;
use trimtab_kube::kinds::{Changed, Deployments, Kind, Stores};
use trimtab_kube::watch::Row;
use trimtab_plan::{Concern, Plan, Report};

use crate::decision::{FLOOR, Seen, plan};
use crate::kind::PodFloors;

pub(crate) struct Floors {
    pub(crate) stores: Stores,
}

impl Controller for Floors {
    type Key = Key;
    type Seen = Seen;

    fn concern(&self) -> &'static Concern {
        &FLOOR
    }

    fn concerned(&self, changed: Changed<'_>) -> Vec<Key> {
        let own = changed.keys::<PodFloors>();
        let deployments = changed.keys::<Deployments>();
        let floors = self.stores.of::<PodFloors>().read();
        let named: Vec<Key> = deployments
            .iter()
            .flat_map(|key| floors.at(key).map(|row| row.key().clone()).collect::<Vec<_>>())
            .collect();
        own.into_iter().chain(named).collect()
    }

    fn all(&self) -> Vec<Key> {
        self.stores.keys::<PodFloors>()
    }

    fn reads(&self, key: &Key) -> Vec<Reads> {
        vec![Reads::One(PodFloors::RESOURCE, key.clone())]
    }

    fn gather(&self, key: &Key, now: Timestamp) -> Gathered<Seen> {
        let Some(floor) = self.stores.of::<PodFloors>().get(key) else { return Gathered::Nothing };
        let deployment = self.stores.of::<Deployments>().get(&floor.deployment);
        let available = deployment.map(|row| row.status.available);
        Gathered::Seen(Seen { floor: (*floor).clone(), available, now })
    }

    fn plan(&self, seen: &Seen) -> (Plan, Report) {
        plan(seen)
    }
}
