//! Hyperparameters of the subnet that nodes use.

use mirror_proto::mirror::v1 as proto;

/// Declares [`Hyperparameters`] and its decoder. The name of a field is the name of the hyperparameter in the message.
macro_rules! hyperparameters {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)+) => {
        /// Hyperparameters of the subnet that nodes use. By default all are 0 or `false`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct Hyperparameters {
            $($(#[$doc])* pub $name: $type,)+
        }

        impl Hyperparameters {
            /// The names of all fields.
            #[cfg(test)]
            pub(crate) const NAMES: &[&str] = &[$(stringify!($name)),+];
        }

        impl TryFrom<&proto::Hyperparameters> for Hyperparameters {
            type Error = HyperparameterError;

            fn try_from(message: &proto::Hyperparameters) -> Result<Self, HyperparameterError> {
                Ok(Self {
                    $($name: value(message, stringify!($name))?,)+
                })
            }
        }
    };
}

hyperparameters! {
    /// Number of blocks between two epochs, excluding the epoch's block. 0 disables epochs.
    tempo: u64,
    /// Number of blocks after which a validator sets weights again.
    validator_epoch_length: u64,
    /// Fraction of the smallest weights that a validator omits. 65,535 is 1.
    validator_exclude_quantile: u16,
    /// Minimum number of weights in one call.
    min_allowed_weights: u16,
    /// Maximum share of one weight in the sum of a call. 65,535 is 1.
    max_weight_limit: u16,
    /// Whether validators commit to weights first and reveal them later.
    commit_reveal_weights_enabled: bool,
    /// Number of epochs from a commitment to its reveal.
    commit_reveal_period: u64,
    /// Number of blocks after its registration in which a neuron cannot be replaced.
    immunity_period: u64,
}

/// A hyperparameter that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HyperparameterError {
    /// The message does not contain the hyperparameter.
    #[error("the metagraph has no hyperparameter `{name}`")]
    Missing {
        /// Name of the hyperparameter.
        name: &'static str,
    },
    /// The value exceeds the maximum of its type.
    #[error("the hyperparameter `{name}` of the metagraph is {value}, which is more than {largest}")]
    TooLarge {
        /// Name of the hyperparameter.
        name: &'static str,
        /// Value in the message.
        value: u64,
        /// Maximum of the type.
        largest: u64,
    },
}

impl Hyperparameters {
    /// Returns the number of epochs from a commitment to its reveal. `None` if commit-reveal is disabled.
    pub fn reveal_epochs(&self) -> Option<u64> {
        self.commit_reveal_weights_enabled
            .then_some(self.commit_reveal_period)
    }
}

/// A type of a hyperparameter, which the message encodes as `u64`.
trait Value: Sized {
    const LARGEST: u64;

    /// Converts `number`, which is at most [`LARGEST`](Self::LARGEST).
    fn new(number: u64) -> Self;
}

impl Value for u64 {
    const LARGEST: u64 = Self::MAX;

    fn new(number: u64) -> Self {
        number
    }
}

impl Value for u16 {
    const LARGEST: u64 = Self::MAX as u64;

    fn new(number: u64) -> Self {
        number as Self
    }
}

impl Value for bool {
    const LARGEST: u64 = 1;

    fn new(number: u64) -> Self {
        number == 1
    }
}

fn value<V: Value>(message: &proto::Hyperparameters, name: &'static str) -> Result<V, HyperparameterError> {
    let mut all = message.all.iter();
    let value = all
        .find(|hyperparameter| hyperparameter.name == name)
        .ok_or(HyperparameterError::Missing { name })?
        .value;
    if value > V::LARGEST {
        return Err(HyperparameterError::TooLarge {
            name,
            value,
            largest: V::LARGEST,
        });
    }
    Ok(V::new(value))
}

#[cfg(test)]
mod tests {
    use std::iter::zip;

    use super::*;

    fn message(values: [u64; 8]) -> proto::Hyperparameters {
        let named = zip(Hyperparameters::NAMES, values).map(|(name, value)| proto::Hyperparameter {
            name: (*name).to_owned(),
            value,
        });
        proto::Hyperparameters {
            all: named.collect(),
            ..proto::Hyperparameters::default()
        }
    }

    #[test]
    fn each_value_goes_to_the_field_of_its_name() {
        let mut message = message([99, 100, 1, 2, 65_535, 1, 3, 4096]);
        let expected = Hyperparameters {
            tempo: 99,
            validator_epoch_length: 100,
            validator_exclude_quantile: 1,
            min_allowed_weights: 2,
            max_weight_limit: 65_535,
            commit_reveal_weights_enabled: true,
            commit_reveal_period: 3,
            immunity_period: 4096,
        };
        assert_eq!(Hyperparameters::try_from(&message), Ok(expected));
        message.all.reverse();
        assert_eq!(Hyperparameters::try_from(&message), Ok(expected));
    }

    #[test]
    fn reveal_epochs_is_none_without_commit_reveal() {
        let enabled = |enabled| Hyperparameters {
            commit_reveal_weights_enabled: enabled,
            commit_reveal_period: 3,
            ..Hyperparameters::default()
        };
        assert_eq!(enabled(true).reveal_epochs(), Some(3));
        assert_eq!(enabled(false).reveal_epochs(), None);
    }

    #[test]
    fn the_chain_has_every_hyperparameter_by_its_name() {
        for name in Hyperparameters::NAMES {
            assert!(mirror_chain::Hyperparameters::NAMES.contains(name), "{name}");
        }
    }

    #[test]
    fn an_absent_hyperparameter_is_an_error_that_names_it() {
        for (place, name) in Hyperparameters::NAMES.iter().enumerate() {
            let mut message = message([0; 8]);
            message.all.remove(place);
            let error = Hyperparameters::try_from(&message);
            assert_eq!(error, Err(HyperparameterError::Missing { name }));
        }
    }

    #[test]
    fn a_value_beyond_its_type_is_an_error_that_names_it() {
        for (name, largest) in [
            ("validator_exclude_quantile", 65_535),
            ("min_allowed_weights", 65_535),
            ("max_weight_limit", 65_535),
            ("commit_reveal_weights_enabled", 1),
        ] {
            let place = Hyperparameters::NAMES.iter().position(|known| *known == name);
            let mut message = message([0; 8]);
            let place = place.expect("the name is a field");
            message.all[place].value = largest;
            assert!(Hyperparameters::try_from(&message).is_ok(), "{name}");
            message.all[place].value = largest + 1;
            let expected = HyperparameterError::TooLarge {
                name,
                value: largest + 1,
                largest,
            };
            assert_eq!(Hyperparameters::try_from(&message), Err(expected));
        }
    }
}
