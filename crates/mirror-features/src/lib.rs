//! Holds no code: the manifest unifies the features of the dependencies of this workspace, so that each is compiled
//! once.
