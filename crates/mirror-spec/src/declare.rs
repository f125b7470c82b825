//! The macros that declare the contents of an experiment file. Each declaration generates a type with its serde form,
//! the table of its keys, and a typed path to each key.
//!
//! [`keys!`] declares a map, [`family!`] the components of a family, [`forms!`] a map with several forms, and
//! [`choice!`] a set of words.
//!
//! A key is declared as `name: Type [kind] = default`. The doc comment of the key appears in the Rust documentation and
//! in the reference of the file. If no kind is given, the key has the kind of the type ([`crate::key::Described`]). The
//! default is written as JSON, with parentheses around a negative number. A key without a default is optional if its
//! type is an `Option`, and required otherwise. `name: Type [kind] | "from elsewhere"` declares a key that inherits its
//! value if it is absent.

/// Declares a map as a struct with one field per key.
///
/// `pub struct Name: Default { … }` also implements `Default`. Each key then requires a default or must be optional.
/// Further traits to derive follow the colon, without commas. The keys may be followed by `..field: Type,` for keys
/// that several maps share, and by `ignored name: "reason",` for keys of old files that have no effect.
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
                        serde_json::from_value(value).expect("a test deserializes every default of a declaration")
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
                #[doc = "The keys that several maps share."]
                #[serde(flatten)]
                pub $shared: $shared_type,
            )*
        }

        impl $crate::key::HasKeys for $name {
            const KEYS: &'static $crate::key::Keys = {
                #[allow(unused_imports, reason = "a map whose keys specify no kind does not use them")]
                use $crate::key::Kind::*;
                static KEYS: $crate::key::Keys = $crate::key::Keys {
                    doc: $crate::key::Doc(&[$($doc),+]),
                    own: &[
                        $($crate::key::Key {
                            name: $crate::key::plain_name(stringify!($key)),
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
                #[doc = concat!("Returns the place of `", stringify!($key), "`.")]
                pub fn $key(self) -> $crate::at::At<'a, N, $type> {
                    self.key($crate::key::plain_name(stringify!($key)))
                }
            )*
            $(
                #[doc = "Returns the place of the keys that several maps share."]
                pub fn $shared(self) -> $crate::at::At<'a, N, $shared_type> {
                    self.same()
                }
            )*
        }
    };
}

/// Declares the components of a family as an enum of their arguments.
///
/// `"name" => Variant(Arguments { keys })` declares a component together with its arguments, and `"name" =>
/// Variant(Arguments)` a component with arguments that are declared elsewhere. Properties follow in brackets.
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

            /// Returns the name of the component, as written in a file.
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

/// Declares the arguments of a component, unless they are declared elsewhere.
macro_rules! arguments {
    ($word:literal $args:ident) => {};
    ($word:literal $args:ident $($declaration:tt)+) => {
        $crate::declare::keys! {
            #[doc = concat!("Arguments of `", $word, "`.")]
            pub struct $args $($declaration)+
        }
    };
}

/// Declares a map with several forms as an enum of the forms. The keys of the map determine its form.
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
            /// The forms of the map.
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

/// Declares an enum whose variants are written as words in a file.
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
            /// All words, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Returns the word, as written in a file.
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

/// Expands to the first expression if it is given, otherwise to the second.
macro_rules! or_else {
    ([] $other:expr) => {
        $other
    };
    ([$one:expr] $other:expr) => {
        $one
    };
}

/// Expands to the [`Need`](crate::key::Need) of a key.
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

/// Expands to a default as a JSON value, or to null if there is no default.
macro_rules! default_value {
    () => {
        serde_json::Value::Null
    };
    ($default:tt) => {
        serde_json::json!($default)
    };
}

/// Expands to the check of a map with several forms, or to one that always succeeds if there is no check.
macro_rules! checked {
    ($name:ident) => {
        |_| Ok(())
    };
    ($name:ident $check:path) => {
        |value| match serde_json::from_value::<$name>(value.clone()) {
            Ok(value) => $check(&value),
            // The check of the keys has already reported the problem.
            Err(_) => Ok(()),
        }
    };
}

/// Expands to an optional text.
macro_rules! given {
    () => {
        None
    };
    ($text:literal) => {
        Some($text)
    };
}

/// Expands to the component and the argument that a plain number is short for.
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
