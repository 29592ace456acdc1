//! Reconcile shells.
