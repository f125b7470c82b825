//! Tables of keys, which the declarations generate in addition to the types, for checks, editors and documentation.

use std::any::TypeId;
use std::ops::RangeInclusive;

use serde_json::Value;

use crate::notation::Notation;

/// A doc comment as the compiler passes it to a macro: one text per line, most of them with a leading space.
#[derive(Debug, Clone, Copy)]
pub struct Doc(pub &'static [&'static str]);

impl Doc {
    /// Returns the first paragraph on one line.
    pub fn summary(&self) -> String {
        self.paragraphs().into_iter().next().unwrap_or_default()
    }

    /// Returns the paragraphs, each on one line.
    pub fn paragraphs(&self) -> Vec<String> {
        let lines: Vec<&str> = self.0.iter().map(|line| line.trim()).collect();
        let paragraphs = lines.split(|line| line.is_empty());
        let paragraphs = paragraphs.map(|lines| lines.join(" "));
        paragraphs.filter(|paragraph| !paragraph.is_empty()).collect()
    }
}

/// Returns the name of an identifier in Rust without the `r#` before names that are words of Rust, such as `r#for`.
pub(crate) const fn plain_name(identifier: &str) -> &str {
    match identifier.as_bytes() {
        [b'r', b'#', ..] => identifier.split_at(2).1,
        _ => identifier,
    }
}

/// A key of a map.
#[derive(Debug)]
pub struct Key {
    /// Name of the key, as written in a file.
    pub name: &'static str,
    /// Description of the key.
    pub doc: Doc,
    /// The values that the key accepts.
    pub kind: Kind,
    /// Whether the key is required, and its value if it is absent.
    pub need: Need,
}

/// Whether a key is required.
#[derive(Debug, Clone, Copy)]
pub enum Need {
    /// The key is required.
    Required,
    /// The key may be absent. [`Key::doc`] describes what that means.
    Optional,
    /// The key may be absent and then has this value, in the form in which a file contains it.
    Default(fn() -> Value),
    /// The key may be absent and then takes its value from elsewhere. The text describes the source.
    Inherited(&'static str),
    /// The key has no effect and is accepted because old files contain it. The text is the reason.
    Ignored(&'static str),
}

/// The values that a key accepts.
#[derive(Debug)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// An integer.
    Integer(RangeInclusive<i128>),
    /// A number, including integers.
    Number(RangeInclusive<f64>),
    /// A duration in seconds, as a number or with a unit: `80ms`, `1.5s`, `2m`.
    Duration(RangeInclusive<f64>),
    /// A non-empty text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// This word, or a value of the other kind.
    Or(&'static str, &'static Kind),
    /// A value of the one kind or of the other.
    Either(&'static Kind, &'static Kind),
    /// A text with a special notation.
    Notation(&'static Notation),
    /// A set of existing uids: a number, a text such as `0-2,5`, or a list of both.
    UidSet(Whose),
    /// A number of steps, with or without the unit: `20 steps` or `20`.
    StepCount(RangeInclusive<i128>),
    /// The number of a step of the query, with or without the word: `step 50` or `50`.
    StepNumber(RangeInclusive<i128>),
    /// A list.
    List(&'static Kind),
    /// A list. A single item may be written without brackets.
    OneOrMany(&'static Kind),
    /// A map whose keys are names that the user chooses.
    Map(&'static Kind),
    /// A map by uid of miners. A key may name several uids, as in [`Kind::UidSet`].
    ByUid(&'static Kind),
    /// A map of these keys only.
    Table(&'static Keys),
    /// A map with several forms, which its keys determine.
    Forms(&'static Forms),
    /// A component of this family: `{name: …, args: {…}}`, or only its name.
    Component(fn() -> &'static Family),
    /// Any value.
    Anything,
}

/// The largest uid, because uids have 16 bits.
pub const MAX_UID: u32 = 65_535;

/// The nodes that a uid in a file can refer to, which determines its maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// A miner: uids 0 to `num_nodes`-1.
    Miner,
    /// A miner or a validator. The uids of validators follow those of the miners.
    Neuron,
    /// A validator, by its index from 0 instead of its uid.
    ValidatorIndex,
}

/// The keys of a map.
#[derive(Debug)]
pub struct Keys {
    /// Description of the map.
    pub doc: Doc,
    /// The keys that only this map has.
    pub own: &'static [Key],
    /// The keys that several maps share.
    pub shared: &'static [&'static Keys],
}

impl Keys {
    /// Returns all keys, the shared ones last.
    pub fn iter(&self) -> impl Iterator<Item = &'static Key> + '_ {
        let shared = self.shared.iter().flat_map(|keys| keys.own);
        self.own.iter().chain(shared)
    }

    /// Returns the key with this name. `None` if there is none.
    pub fn get(&self, name: &str) -> Option<&'static Key> {
        self.iter().find(|key| key.name == name)
    }
}

/// The forms of a map, of which a file uses one.
#[derive(Debug)]
pub struct Forms {
    /// Name of the map in messages, such as `a distribution of delays`.
    pub what: &'static str,
    /// The keys of each form.
    pub forms: &'static [&'static Keys],
    /// The key that receives a value that is not a map. `None` if only maps are accepted.
    pub plain: Option<&'static str>,
    /// Checks relations between the values of a map whose form is valid.
    pub check: fn(&Value) -> Result<(), Unsound>,
}

/// The error of a value whose parts are in range individually, but not in combination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsound {
    /// The key that the error refers to.
    pub key: &'static str,
    /// Description of the problem.
    pub message: String,
    /// Advice on how to solve it.
    pub help: String,
}

/// A family of components, one of which is selected by name.
#[derive(Debug)]
pub struct Family {
    /// Name of the family, such as `gating_model`.
    pub name: &'static str,
    /// Description of the family.
    pub doc: Doc,
    /// All components of the family, including [`Family::without`].
    pub all: &'static [Variant],
    /// The component that is not accepted here. `None` if all are.
    pub without: Option<&'static str>,
    /// The component and the argument that a plain number is short for. `None` if plain numbers are not accepted.
    pub number_means: Option<(&'static str, &'static str)>,
}

impl Family {
    /// Returns the components that are accepted.
    pub fn variants(&self) -> impl Iterator<Item = &'static Variant> {
        let without = self.without;
        self.all
            .iter()
            .filter(move |variant| Some(variant.name) != without)
    }

    /// Returns the accepted component with this name. `None` if there is none.
    pub fn variant(&self, name: &str) -> Option<&'static Variant> {
        self.variants().find(|variant| variant.name == name)
    }
}

/// A component of a family.
#[derive(Debug)]
pub struct Variant {
    /// Name of the component, as written at `name`.
    pub name: &'static str,
    /// Description of the component.
    pub doc: Doc,
    /// Keys of its arguments.
    pub args: &'static Keys,
    /// The type of its arguments.
    pub args_type: fn() -> TypeId,
    /// Properties of the component that do not depend on its arguments.
    pub properties: &'static [Property],
}

impl Variant {
    /// Returns whether the component has this property.
    pub fn has(&self, property: Property) -> bool {
        self.properties.contains(&property)
    }
}

/// A property of a component that does not depend on its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Property {
    /// The component is a behaviour of miners that never calls the behaviour below it.
    CallsNoNext,
}

/// The representation of a type in a file.
pub trait Described {
    /// The values that a key of this type accepts, unless the key specifies another kind.
    const KIND: Kind;
    /// Whether a key of this type without a default is required.
    const NEED: Need = Need::Required;

    /// Returns whether the value is omitted from a file.
    fn is_absent(&self) -> bool {
        false
    }
}

/// A type whose fields are the keys of a map.
pub trait HasKeys {
    /// The keys of the map.
    const KEYS: &'static Keys;
}

macro_rules! described {
    ($($type:ty: $kind:expr),* $(,)?) => {
        $(impl Described for $type {
            const KIND: Kind = $kind;
        })*
    };
}

described! {
    bool: Kind::Bool,
    String: Kind::Text,
    u16: Kind::Integer(0..=u16::MAX as i128),
    u32: Kind::Integer(0..=u32::MAX as i128),
    u64: Kind::Integer(0..=u64::MAX as i128),
    i64: Kind::Integer(i64::MIN as i128..=i64::MAX as i128),
    f32: Kind::Number(f64::MIN..=f64::MAX),
    f64: Kind::Number(f64::MIN..=f64::MAX),
}

impl<T: Described> Described for Option<T> {
    const KIND: Kind = T::KIND;
    const NEED: Need = Need::Optional;

    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T: Described> Described for Box<T> {
    const KIND: Kind = T::KIND;
}

impl<T: Described> Described for Vec<T> {
    const KIND: Kind = Kind::List(&T::KIND);
}

impl<T: Described> Described for std::collections::BTreeMap<String, T> {
    const KIND: Kind = Kind::Map(&T::KIND);
}

impl<T: Described> Described for std::collections::BTreeMap<u32, T> {
    const KIND: Kind = Kind::ByUid(&T::KIND);
}
