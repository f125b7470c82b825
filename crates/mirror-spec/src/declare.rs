//! The macros that declare what a file may say. One declaration yields a type with its serde form, the table of its
//! keys and the typed path to each of them.
//!
//! [`keys!`] declares a map, [`family!`] the components that can stand at one place, [`forms!`] a map that is written
//! in one of several forms, [`choice!`] a word.
//!
//! A key is declared as `name: Type [kind] = default`. The doc comment is the key's meaning, in the Rust documentation
//! and in the reference of the file alike. Without a kind it is the type's own ([`crate::key::Described`]). The default
//! is written as JSON, a negative number in parentheses; a key without a default is optional where its type is an
//! `Option`, and required where it is not. `name: Type [kind] | "from where"` is a key whose value is taken from
//! elsewhere when it is left out.

/// Declares a map as a struct with a field a key.
///
/// `pub struct Name: Default { … }` also implements `Default`; each key then has a default or is optional. Further
/// derived traits follow the colon, without commas. After the keys may stand `..field: Type,` for keys that are
/// declared once for several maps, and `ignored name: "why",` for keys that old files have and that have no effect.
macro_rules! keys {
    (
        $(#[doc = $doc:expr])+
        pub struct $name:ident: Default $($derive:ident)* {
            $(
                $(#[doc = $key_doc:expr])+
                $key:ident: $type:ty $([$kind:expr])? $(= $default:tt)?,
            )*
            $(ignored $old:ident: $why:expr,)*
        }
    ) => {
        $crate::declare::keys! {
            @declare [#[serde(default)]] $(#[doc = $doc])+
            pub struct $name [$($derive)*] {
                $($(#[doc = $key_doc])+ $key: $type $([$kind])? $(= $default)?,)*
                $(ignored $old: $why,)*
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    $($key: {
                        let value = $crate::declare::default_value!($($default)?);
                        serde_json::from_value(value).expect("a test reads every default of a declaration")
                    },)*
                }
            }
        }
    };
    (
        $(#[doc = $doc:expr])+
        pub struct $name:ident $(: $($derive:ident)+)? {
            $($body:tt)*
        }
    ) => {
        $crate::declare::keys! {
            @declare [] $(#[doc = $doc])+
            pub struct $name [$($($derive)+)?] { $($body)* }
        }
    };
    (
        @declare [$($attribute:tt)*]
        $(#[doc = $doc:expr])+
        pub struct $name:ident [$($derive:ident)*] {
            $(
                $(#[doc = $key_doc:expr])+
                $key:ident: $type:ty $([$kind:expr])? $(= $default:tt)? $(| $inherited:literal)?,
            )*
            $(..$shared:ident: $shared_type:ty,)*
            $(ignored $old:ident: $why:expr,)*
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize $(, $derive)*)]
        $($attribute)*
        pub struct $name {
            $(
                $(#[doc = $key_doc])+
                #[serde(skip_serializing_if = "crate::key::Described::is_absent")]
                pub $key: $type,
            )*
            $(
                #[doc = "The keys that several maps have in common."]
                #[serde(flatten)]
                pub $shared: $shared_type,
            )*
        }

        impl $crate::key::HasKeys for $name {
            const KEYS: &'static $crate::key::Keys = {
                #[allow(unused_imports, reason = "a map without kinds of its own uses none")]
                use $crate::key::Kind::*;
                static KEYS: $crate::key::Keys = $crate::key::Keys {
                    doc: $crate::key::Doc(&[$($doc),+]),
                    own: &[
                        $($crate::key::Key {
                            name: stringify!($key),
                            doc: $crate::key::Doc(&[$($key_doc),+]),
                            kind: $crate::declare::or_else!(
                                [$($kind)?] <$type as $crate::key::Described>::KIND
                            ),
                            need: $crate::declare::need!([$($default)?] [$($inherited)?] $type),
                        },)*
                        $($crate::key::Key {
                            name: stringify!($old),
                            doc: $crate::key::Doc(&[]),
                            kind: Anything,
                            need: $crate::key::Need::Ignored($why),
                        },)*
                    ],
                    shared: &[$(<$shared_type as $crate::key::HasKeys>::KEYS),*],
                };
                &KEYS
            };
        }

        impl $crate::key::Described for $name {
            const KIND: $crate::key::Kind =
                $crate::key::Kind::Table(<$name as $crate::key::HasKeys>::KEYS);
        }

        impl<'a, N: $crate::at::Tree> $crate::at::At<'a, N, $name> {
            $(
                #[doc = concat!("The place of `", stringify!($key), "`.")]
                pub fn $key(self) -> $crate::at::At<'a, N, $type> {
                    self.key(stringify!($key))
                }
            )*
            $(
                #[doc = "The place of the keys that several maps have in common."]
                pub fn $shared(self) -> $crate::at::At<'a, N, $shared_type> {
                    self.same()
                }
            )*
        }
    };
}

/// Declares the components that can stand at one place, as an enum of their arguments.
///
/// `"name" => Variant(Arguments { keys })` declares a component with arguments of its own, `"name" =>
/// Variant(Arguments)` one with arguments that are declared elsewhere. Properties follow in brackets.
macro_rules! family {
    (
        $(#[doc = $doc:expr])+
        pub enum $name:ident: $family:literal $(, number means $number_name:literal $number_key:literal)? {
            $(
                $(#[doc = $variant_doc:expr])+
                $word:literal => $variant:ident($args:ident $($declaration:tt)*) $([$($property:ident),+])?,
            )*
        }
    ) => {
        $($crate::declare::arguments! { $word $args $($declaration)* })*

        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "name", content = "args")]
        pub enum $name {
            $(
                $(#[doc = $variant_doc])+
                #[serde(rename = $word)]
                $variant($args),
            )*
        }

        impl $name {
            /// The components of this family.
            pub const FAMILY: &'static $crate::key::Family = {
                static FAMILY: $crate::key::Family = $crate::key::Family {
                    name: $family,
                    doc: $crate::key::Doc(&[$($doc),+]),
                    all: &[$($crate::key::Variant {
                        name: $word,
                        doc: $crate::key::Doc(&[$($variant_doc),+]),
                        args: <$args as $crate::key::HasKeys>::KEYS,
                        args_type: std::any::TypeId::of::<$args>,
                        properties: &[$($($crate::key::Property::$property),+)?],
                    }),*],
                    without: None,
                    number_means: $crate::declare::number_means!($($number_name $number_key)?),
                };
                &FAMILY
            };

            /// Its name in a file.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $word,)*
                }
            }
        }

        impl $crate::key::Described for $name {
            const KIND: $crate::key::Kind = $crate::key::Kind::Component(|| $name::FAMILY);
        }

        impl $crate::at::IsFamily for $name {
            fn family() -> &'static $crate::key::Family {
                Self::FAMILY
            }
        }
    };
}

/// Declares a component's arguments, unless they are declared elsewhere.
macro_rules! arguments {
    ($word:literal $args:ident) => {};
    ($word:literal $args:ident $($declaration:tt)+) => {
        $crate::declare::keys! {
            #[doc = concat!("Arguments of `", $word, "`.")]
            pub struct $args $($declaration)+
        }
    };
}

/// Declares a map that is written in one of several forms, told apart by their keys, as an enum of the forms.
macro_rules! forms {
    (
        $(#[doc = $doc:expr])+
        pub enum $name:ident: $what:literal $(, plain value at $plain:literal)? $(, checked by $check:path)? {
            $(
                $(#[doc = $form_doc:expr])+
                $form:ident($keys:ident $(: $($derive:ident)+)? { $($body:tt)* }),
            )*
        }
    ) => {
        $($crate::declare::keys! {
            $(#[doc = $form_doc])+
            pub struct $keys $(: $($derive)+)? { $($body)* }
        })*

        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(untagged)]
        pub enum $name {
            $(
                $(#[doc = $form_doc])+
                $form($keys),
            )*
        }

        impl $name {
            /// The forms.
            pub const FORMS: &'static $crate::key::Forms = {
                static FORMS: $crate::key::Forms = $crate::key::Forms {
                    what: $what,
                    forms: &[$(<$keys as $crate::key::HasKeys>::KEYS),*],
                    plain: $crate::declare::given!($($plain)?),
                    check: $crate::declare::checked!($name $($check)?),
                };
                &FORMS
            };
        }

        impl $crate::key::Described for $name {
            const KIND: $crate::key::Kind = $crate::key::Kind::Forms(Self::FORMS);
        }
    };
}

/// Declares an enum whose variants are words of a file.
macro_rules! choice {
    (
        $(#[doc = $doc:expr])+
        pub enum $name:ident {
            $($(#[doc = $word_doc:expr])+ $variant:ident = $word:literal,)*
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $(
                $(#[doc = $word_doc])+
                #[serde(rename = $word)]
                $variant,
            )*
        }

        impl $name {
            /// As it is written in a file.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl $crate::key::Described for $name {
            const KIND: $crate::key::Kind = $crate::key::Kind::Choice(&[$($word),*]);
        }
    };
}

/// The first of two that is there.
macro_rules! or_else {
    ([] $other:expr) => {
        $other
    };
    ([$one:expr] $other:expr) => {
        $one
    };
}

/// Whether a key must be there.
macro_rules! need {
    ([] [] $type:ty) => {
        <$type as $crate::key::Described>::NEED
    };
    ([$default:tt] [] $type:ty) => {
        $crate::key::Need::Default(|| serde_json::json!($default))
    };
    ([] [$from:literal] $type:ty) => {
        $crate::key::Need::Inherited($from)
    };
}

/// A default as a value; what has none is nothing.
macro_rules! default_value {
    () => {
        serde_json::Value::Null
    };
    ($default:tt) => {
        serde_json::json!($default)
    };
}

/// What a value of a form must fulfil besides.
macro_rules! checked {
    ($name:ident) => {
        |_| Ok(())
    };
    ($name:ident $check:path) => {
        |value| match serde_json::from_value::<$name>(value.clone()) {
            Ok(value) => $check(&value),
            // The walk along the tables has told what is wrong.
            Err(_) => Ok(()),
        }
    };
}

/// A text that need not be given.
macro_rules! given {
    () => {
        None
    };
    ($text:literal) => {
        Some($text)
    };
}

/// What a plain number stands for.
macro_rules! number_means {
    () => {
        None
    };
    ($name:literal $key:literal) => {
        Some(($name, $key))
    };
}

pub(crate) use {
    arguments, checked, choice, default_value, family, forms, given, keys, need, number_means, or_else,
};
