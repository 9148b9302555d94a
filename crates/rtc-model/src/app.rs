//! What an app is: its type and its status.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What an app is for, as the guide lists it. It changes nothing in how the app works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AppKind {
    /// Lessons.
    #[serde(rename = "EDUCATION")]
    Education,
    /// Games, shows, social life.
    #[serde(rename = "ENTERTAINMENT")]
    Entertainment,
    /// Banks and insurers.
    #[serde(rename = "FINANCE")]
    Finance,
    /// Anything else.
    #[default]
    #[serde(rename = "OTHER")]
    Other,
    /// Kept for a special arrangement; the guide advises against it.
    #[serde(rename = "EXCLUSIVE-A")]
    ExclusiveA,
    /// Kept for a special arrangement; the guide advises against it.
    #[serde(rename = "EXCLUSIVE-B")]
    ExclusiveB,
    /// Kept for a special arrangement; the guide advises against it.
    #[serde(rename = "EXCLUSIVE-C")]
    ExclusiveC,
}

impl AppKind {
    /// Every type, in the guide's order.
    pub const ALL: [Self; 7] = [
        Self::Education,
        Self::Entertainment,
        Self::Finance,
        Self::Other,
        Self::ExclusiveA,
        Self::ExclusiveB,
        Self::ExclusiveC,
    ];

    /// The guide's spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Education => "EDUCATION",
            Self::Entertainment => "ENTERTAINMENT",
            Self::Finance => "FINANCE",
            Self::Other => "OTHER",
            Self::ExclusiveA => "EXCLUSIVE-A",
            Self::ExclusiveB => "EXCLUSIVE-B",
            Self::ExclusiveC => "EXCLUSIVE-C",
        }
    }
}

/// Whether new rooms and joins are let in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppStatus {
    /// Works.
    #[default]
    Enabled,
    /// No new rooms, no new joins; people inside stay.
    Disabled,
}

impl AppStatus {
    /// Every status.
    pub const ALL: [Self; 2] = [Self::Enabled, Self::Disabled];

    /// As written in the API and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
        }
    }
}

/// The text is not one of the known words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not one of the known words")]
pub struct UnknownWord;

impl FromStr for AppKind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownWord)
    }
}

impl FromStr for AppStatus {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(UnknownWord)
    }
}

impl fmt::Display for AppKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for AppStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An app's private key: the secret of its tokens and signatures.
///
/// Has no serde and shows nothing in `Debug`, so that it reaches a wire or a log only where
/// [`AppKey::expose`] stands in the code.
#[derive(Clone, PartialEq, Eq)]
pub struct AppKey(std::sync::Arc<str>);

impl AppKey {
    /// Takes a text as a key.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppKey(..)")
    }
}
