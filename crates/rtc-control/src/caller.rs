//! Who asks, and what they may.

use rtc_api::{
    code::{ErrorCode, Refusal},
    token::VideoGrants,
};
use rtc_model::{AppId, RoomName};

use crate::Error;

#[cfg(test)]
mod tests;

/// Who asks for an operation. Made by [`crate::auth`], or by the CLI, which may do everything to
/// the data directory it can open.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Nobody we know.
    Anonymous,
    /// Whoever holds the admin token or the data directory.
    Operator,
    /// A program that signed a token with an app's key.
    AppServer {
        /// The app.
        app: AppId,
        /// What the token grants, within that app.
        grants: VideoGrants,
    },
}

/// What an operation needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Make an app.
    AppCreate,
    /// See an app or the list of apps, without keys.
    AppRead,
    /// See an app's private key.
    AppKeyRead,
    /// Change an app, its status or its key.
    AppUpdate,
    /// Delete an app.
    AppDelete,
    /// Make a token in an app's name.
    TokenCreate,
    /// Open or end a room.
    RoomCreate,
    /// See the list of open rooms.
    RoomList,
    /// See and steer what is in a room.
    RoomAdmin,
}

/// What an operation is done to.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// The installation.
    Server,
    /// An app.
    App(&'a AppId),
    /// A room of an app.
    Room(&'a AppId, &'a RoomName),
}

impl Caller {
    /// Lets the caller pass if it holds `permission` on `target`. The first line of every
    /// operation.
    ///
    /// # Errors
    /// `unauthenticated` for nobody, `forbidden` for somebody without the permission.
    pub fn require(&self, permission: Permission, target: Target<'_>) -> Result<(), Error> {
        match self {
            Self::Operator => Ok(()),
            Self::Anonymous => Err(Refusal::from(ErrorCode::Unauthenticated).into()),
            Self::AppServer { app, grants } => {
                if may(app, grants, permission, target) {
                    Ok(())
                } else {
                    Err(Refusal::from(ErrorCode::Forbidden).into())
                }
            }
        }
    }
}

/// What a token signed with an app's key opens: rooms of that app only, and of these only what its
/// grants name (`roomCreate`, `roomList`, `roomAdmin` with `room`).
fn may(own: &AppId, grants: &VideoGrants, permission: Permission, target: Target<'_>) -> bool {
    let (app, room) = match target {
        Target::Server => return false,
        Target::App(app) => (app, None),
        Target::Room(app, room) => (app, Some(room)),
    };
    if app != own {
        return false;
    }
    match permission {
        Permission::RoomCreate => grants.room_create,
        Permission::RoomList => grants.room_list,
        Permission::RoomAdmin => {
            grants.room_admin && room.is_some_and(|room| grants.room == room.as_str())
        }
        Permission::AppCreate
        | Permission::AppRead
        | Permission::AppKeyRead
        | Permission::AppUpdate
        | Permission::AppDelete
        | Permission::TokenCreate => false,
    }
}
