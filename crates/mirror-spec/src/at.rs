//! Typed places in a file. A place is reached by methods that the declarations yield, so a misspelt path does not
//! compile; it knows what stands there, and whoever holds the file's tree knows where that was written.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::key::{Family, HasKeys};

/// A tree of values that remembers where each was written.
pub trait Tree {
    /// The value of a key, in a map.
    fn key(&self, key: &str) -> Option<&Self>;
    /// The values of a list; of anything else, none.
    fn items(&self) -> &[Self]
    where
        Self: Sized;
    /// The text, if it is one.
    fn text(&self) -> Option<&str>;
    /// The value as a `T`; `None` if it is none.
    fn read<T: DeserializeOwned>(&self) -> Option<T>;
}

/// The place of a `T` in a tree, whether or not something stands there.
#[derive(Debug)]
pub struct At<'a, N, T> {
    node: Option<&'a N>,
    /// The map that the place is in, and its key there.
    inside: Option<(&'a N, &'static str)>,
    of: PhantomData<fn() -> T>,
}

impl<N, T> Clone for At<'_, N, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<N, T> Copy for At<'_, N, T> {}

impl<'a, N: Tree, T> At<'a, N, T> {
    /// The place of the whole tree.
    pub fn root(node: &'a N) -> Self {
        Self::of(Some(node))
    }

    fn of(node: Option<&'a N>) -> Self {
        Self {
            node,
            inside: None,
            of: PhantomData,
        }
    }

    /// The place of a key. Only declarations call it, with their own keys.
    pub(crate) fn key<U>(self, key: &'static str) -> At<'a, N, U> {
        At {
            node: self.node.and_then(|node| node.key(key)),
            inside: self.node.map(|node| (node, key)),
            of: PhantomData,
        }
    }

    /// The same place, seen as part of a map.
    pub(crate) fn same<U>(self) -> At<'a, N, U> {
        At {
            node: self.node,
            inside: self.inside,
            of: PhantomData,
        }
    }

    /// What stands there, with its position.
    pub fn node(self) -> Option<&'a N> {
        self.node
    }

    /// The map that the place is in, and the place's key there; `None` for an item of a list and for the whole tree.
    pub fn inside(self) -> Option<(&'a N, &'static str)> {
        self.inside
    }

    /// What stands there as a value; `None` where nothing does, or what is no `T`.
    pub fn get(self) -> Option<T>
    where
        T: DeserializeOwned,
    {
        self.node?.read()
    }
}

impl<'a, N: Tree, T> At<'a, N, Option<T>> {
    /// The place of what need not be there.
    pub fn inner(self) -> At<'a, N, T> {
        self.same()
    }
}

impl<'a, N: Tree, T> At<'a, N, Box<T>> {
    /// The place of what is in the box.
    pub fn unboxed(self) -> At<'a, N, T> {
        self.same()
    }
}

impl<'a, N: Tree, T> At<'a, N, Vec<T>> {
    /// The place of each item.
    pub fn items(self) -> impl ExactSizeIterator<Item = At<'a, N, T>> {
        let items = self.node.map(Tree::items).unwrap_or_default();
        items.iter().map(|item| At::of(Some(item)))
    }
}

impl<'a, N: Tree, T> At<'a, N, BTreeMap<String, T>> {
    /// The place of the value of a name of the user's own.
    pub fn named(self, name: &str) -> At<'a, N, T> {
        At::of(self.node.and_then(|node| node.key(name)))
    }
}

/// A type that is the components of a family.
pub trait IsFamily {
    /// The family.
    fn family() -> &'static Family;
}

impl<'a, N: Tree, T: IsFamily> At<'a, N, T> {
    /// The component's name and where it stands.
    pub fn component(self) -> Option<(&'a str, &'a N)> {
        let name = self.node?.key("name")?;
        Some((name.text()?, name))
    }

    /// The place of the arguments, if the component that is named has arguments of this type.
    pub fn args<A: HasKeys + 'static>(self) -> At<'a, N, A> {
        let name = self.component().map(|(name, _)| name);
        let variant = name.and_then(|name| T::family().variant(name));
        let fits = variant.is_some_and(|variant| (variant.args_type)() == TypeId::of::<A>());
        At::of(self.node.filter(|_| fits).and_then(|node| node.key("args")))
    }
}
