//! Typed places in a file.
//!
//! A place is reached through methods that the declarations generate, so a misspelt path does not compile. It gives
//! access to the value there and, through the node of the tree, to the position of that value in the file.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::key::{Family, HasKeys};

/// A tree of values that records the position of each value in the file.
pub trait Tree {
    /// Returns the value of a key. `None` if this is not a map or has no such key.
    fn key(&self, key: &str) -> Option<&Self>;
    /// Returns the items of a list. Empty if this is not a list.
    fn items(&self) -> &[Self]
    where
        Self: Sized;
    /// Returns the text. `None` if this is not a text.
    fn text(&self) -> Option<&str>;
    /// Returns the value as a `T`. `None` if it cannot be converted.
    fn read<T: DeserializeOwned>(&self) -> Option<T>;
}

/// The place of a `T` in a tree, whether or not there is a value.
#[derive(Debug)]
pub struct At<'a, N, T> {
    node: Option<&'a N>,
    /// The map that contains the place, and the key of the place in it.
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
    /// Returns the place of the whole tree.
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

    /// Returns the place of a key. Only declarations call it, with their own keys.
    pub(crate) fn key<U>(self, key: &'static str) -> At<'a, N, U> {
        At {
            node: self.node.and_then(|node| node.key(key)),
            inside: self.node.map(|node| (node, key)),
            of: PhantomData,
        }
    }

    /// Returns the same place with another type, such as part of the map.
    pub(crate) fn same<U>(self) -> At<'a, N, U> {
        At {
            node: self.node,
            inside: self.inside,
            of: PhantomData,
        }
    }

    /// Returns the node at this place, with its position in the file. `None` if there is no value.
    pub fn node(self) -> Option<&'a N> {
        self.node
    }

    /// Returns the map that contains the place, and the key of the place in it. `None` for an item of a list and for
    /// the whole tree.
    pub fn inside(self) -> Option<(&'a N, &'static str)> {
        self.inside
    }

    /// Returns the value at this place. `None` if there is no value or it is not a `T`.
    pub fn get(self) -> Option<T>
    where
        T: DeserializeOwned,
    {
        self.node?.read()
    }
}

impl<'a, N: Tree, T> At<'a, N, Option<T>> {
    /// Returns the place of the optional value.
    pub fn inner(self) -> At<'a, N, T> {
        self.same()
    }
}

impl<'a, N: Tree, T> At<'a, N, Box<T>> {
    /// Returns the place of the boxed value.
    pub fn unboxed(self) -> At<'a, N, T> {
        self.same()
    }
}

impl<'a, N: Tree, T> At<'a, N, Vec<T>> {
    /// Returns the place of each item.
    pub fn items(self) -> impl ExactSizeIterator<Item = At<'a, N, T>> {
        let items = self.node.map(Tree::items).unwrap_or_default();
        items.iter().map(|item| At::of(Some(item)))
    }
}

impl<'a, N: Tree, T> At<'a, N, BTreeMap<String, T>> {
    /// Returns the place of the value with a name that the user chose.
    pub fn named(self, name: &str) -> At<'a, N, T> {
        At::of(self.node.and_then(|node| node.key(name)))
    }
}

/// A type whose variants are the components of a family.
pub trait IsFamily {
    /// Returns the family.
    fn family() -> &'static Family;
}

impl<'a, N: Tree, T: IsFamily> At<'a, N, T> {
    /// Returns the name of the component and the node of the name. `None` if there is no name.
    pub fn component(self) -> Option<(&'a str, &'a N)> {
        let name = self.node?.key("name")?;
        Some((name.text()?, name))
    }

    /// Returns the place of the arguments. The place has no value unless the named component has arguments of this
    /// type.
    pub fn args<A: HasKeys + 'static>(self) -> At<'a, N, A> {
        let name = self.component().map(|(name, _)| name);
        let variant = name.and_then(|name| T::family().variant(name));
        let fits = variant.is_some_and(|variant| (variant.args_type)() == TypeId::of::<A>());
        At::of(self.node.filter(|_| fits).and_then(|node| node.key("args")))
    }
}
