//! Tables of keys: what the declarations yield beside the types, for checks, editors and documentation.

use std::any::TypeId;
use std::ops::RangeInclusive;

use serde_json::Value;

use crate::notation::Notation;

/// A doc comment as the compiler hands it over: a text a line, most of them with a leading space.
#[derive(Debug, Clone, Copy)]
pub struct Doc(pub &'static [&'static str]);

impl Doc {
    /// The first paragraph, on one line.
    pub fn summary(&self) -> String {
        self.paragraphs().into_iter().next().unwrap_or_default()
    }

    /// The paragraphs, each on one line.
    pub fn paragraphs(&self) -> Vec<String> {
        let lines: Vec<&str> = self.0.iter().map(|line| line.trim()).collect();
        let paragraphs = lines.split(|line| line.is_empty());
        let paragraphs = paragraphs.map(|lines| lines.join(" "));
        paragraphs.filter(|paragraph| !paragraph.is_empty()).collect()
    }
}

/// A key of a map.
#[derive(Debug)]
pub struct Key {
    /// As it is written in a file.
    pub name: &'static str,
    /// What it means.
    pub doc: Doc,
    /// What may stand there.
    pub kind: Kind,
    /// Whether it must be there, and what it is if it is not.
    pub need: Need,
}

/// Whether a key must be there.
#[derive(Debug, Clone, Copy)]
pub enum Need {
    /// It must.
    Required,
    /// It may be left out, and then means nothing or what `doc` says.
    Optional,
    /// It may be left out, and then is this, as a file would have it.
    Default(fn() -> Value),
    /// It may be left out, and then is taken from elsewhere: from where.
    Inherited(&'static str),
    /// It is accepted because old files have it, and has no effect: why.
    Ignored(&'static str),
}

/// What may stand at a key.
#[derive(Debug)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Integer(RangeInclusive<i128>),
    /// A number; a whole one is one too.
    Number(RangeInclusive<f64>),
    /// Seconds, as a number or with a unit: `80ms`, `1.5s`, `2m`.
    Duration(RangeInclusive<f64>),
    /// Any text but the empty one.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// This word, or the other kind.
    Or(&'static str, &'static Kind),
    /// One kind, or the other.
    Either(&'static Kind, &'static Kind),
    /// A text in a notation of its own.
    Notation(&'static Notation),
    /// A set of uids, all of which must be there: a number, a text as `0-2,5`, or a list of such.
    UidSet(Whose),
    /// A number of steps, with its unit or without: `20 steps` or `20`.
    StepCount(RangeInclusive<i128>),
    /// A step of the query, with its unit or without: `step 50` or `50`.
    StepNumber(RangeInclusive<i128>),
    /// A list.
    List(&'static Kind),
    /// A list; a single item may stand without its brackets.
    OneOrMany(&'static Kind),
    /// A map from names of the user's own.
    Map(&'static Kind),
    /// A map from uids of miners; several are written as [`Kind::UidSet`] are.
    ByUid(&'static Kind),
    /// A map of these keys and no others.
    Table(&'static Keys),
    /// A map whose keys say which of several forms it has.
    Forms(&'static Forms),
    /// A component of this family: `{name: …, args: {…}}`, or its name alone.
    Component(fn() -> &'static Family),
    /// Anything.
    Anything,
}

/// The largest uid: uids travel as 16 bits.
pub const MAX_UID: u32 = 65_535;

/// Whom a uid in a file belongs to, which says how large it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// A miner: uids 0 to `num_nodes`-1.
    Miner,
    /// A miner or a validator; validators follow the miners.
    Neuron,
    /// A validator, by its index from 0 and not by its uid.
    ValidatorIndex,
}

/// The keys of a map.
#[derive(Debug)]
pub struct Keys {
    /// What the map is.
    pub doc: Doc,
    /// Those declared for this map alone.
    pub own: &'static [Key],
    /// Those declared once for several maps.
    pub shared: &'static [&'static Keys],
}

impl Keys {
    /// All keys, the shared ones last.
    pub fn iter(&self) -> impl Iterator<Item = &'static Key> + '_ {
        let shared = self.shared.iter().flat_map(|keys| keys.own);
        self.own.iter().chain(shared)
    }

    /// The key of this name.
    pub fn get(&self, name: &str) -> Option<&'static Key> {
        self.iter().find(|key| key.name == name)
    }
}

/// Forms of one map, of which a file writes one.
#[derive(Debug)]
pub struct Forms {
    /// What the map is called in messages: `a distribution of delays`.
    pub what: &'static str,
    /// The keys of each form.
    pub forms: &'static [&'static Keys],
    /// A value that is no map stands at this key.
    pub plain: Option<&'static str>,
    /// What a value of the right form must fulfil besides.
    pub check: fn(&Value) -> Result<(), Unsound>,
}

/// A value whose parts are each in their range, and which cannot stand all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsound {
    /// The key to look at.
    pub key: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// Components that can stand at one place.
#[derive(Debug)]
pub struct Family {
    /// What they are called: `gating_model`.
    pub name: &'static str,
    /// What they are for.
    pub doc: Doc,
    /// Those that can be named, and [`Family::without`] besides.
    pub all: &'static [Variant],
    /// The one that cannot be named here, if there is one.
    pub without: Option<&'static str>,
    /// A plain number stands for this component, with this argument.
    pub number_means: Option<(&'static str, &'static str)>,
}

impl Family {
    /// The components that can be named.
    pub fn variants(&self) -> impl Iterator<Item = &'static Variant> {
        let without = self.without;
        self.all
            .iter()
            .filter(move |variant| Some(variant.name) != without)
    }

    /// The component of this name.
    pub fn variant(&self, name: &str) -> Option<&'static Variant> {
        self.variants().find(|variant| variant.name == name)
    }
}

/// A component that can be named.
#[derive(Debug)]
pub struct Variant {
    /// As it is written at `name`.
    pub name: &'static str,
    /// What it does.
    pub doc: Doc,
    /// Its arguments.
    pub args: &'static Keys,
    /// The type of its arguments.
    pub args_type: fn() -> TypeId,
    /// What holds of it whatever its arguments are.
    pub properties: &'static [Property],
}

impl Variant {
    /// Whether this holds of it.
    pub fn has(&self, property: Property) -> bool {
        self.properties.contains(&property)
    }
}

/// What can hold of a component whatever its arguments are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Property {
    /// A file may name it, but this version cannot run it.
    Planned,
    /// A behaviour of miners that never calls the behaviour below it.
    AsksNobody,
}

/// What a type looks like in a file.
pub trait Described {
    /// What may stand where a value of this type is expected, unless the key says otherwise.
    const KIND: Kind;
    /// Whether a key of this type must be there when it has no default.
    const NEED: Need = Need::Required;

    /// Whether a file leaves the value out.
    fn is_absent(&self) -> bool {
        false
    }
}

/// A type whose fields are the keys of a map.
pub trait HasKeys {
    /// The keys.
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
