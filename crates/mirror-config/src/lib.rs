//! The experiment file: its types, defaults and ranges, the checks that find every problem of a file at once with line
//! and column, and the launch descriptions that the nodes are started with.

pub mod component;
pub mod experiment;
pub mod launch;
