//! Who owns which fields: field sets, the schema facts they depend on, and the merge of server-side apply.

pub(crate) mod compare;
pub(crate) mod managers;
pub(crate) mod merge;
pub(crate) mod schema;
pub(crate) mod set;
