//! The methods of LiveKit's `RoomService` and what each needs.

use crate::Permission;

/// A method, as the last segment of the path names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    CreateRoom,
    ListRooms,
    DeleteRoom,
    ListParticipants,
    GetParticipant,
    RemoveParticipant,
    MutePublishedTrack,
    UpdateParticipant,
    UpdateSubscriptions,
    SendData,
    UpdateRoomMetadata,
    PerformRpc,
    ForwardParticipant,
    MoveParticipant,
}

impl Method {
    pub(super) const ALL: [Self; 14] = [
        Self::CreateRoom,
        Self::ListRooms,
        Self::DeleteRoom,
        Self::ListParticipants,
        Self::GetParticipant,
        Self::RemoveParticipant,
        Self::MutePublishedTrack,
        Self::UpdateParticipant,
        Self::UpdateSubscriptions,
        Self::SendData,
        Self::UpdateRoomMetadata,
        Self::PerformRpc,
        Self::ForwardParticipant,
        Self::MoveParticipant,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::CreateRoom => "CreateRoom",
            Self::ListRooms => "ListRooms",
            Self::DeleteRoom => "DeleteRoom",
            Self::ListParticipants => "ListParticipants",
            Self::GetParticipant => "GetParticipant",
            Self::RemoveParticipant => "RemoveParticipant",
            Self::MutePublishedTrack => "MutePublishedTrack",
            Self::UpdateParticipant => "UpdateParticipant",
            Self::UpdateSubscriptions => "UpdateSubscriptions",
            Self::SendData => "SendData",
            Self::UpdateRoomMetadata => "UpdateRoomMetadata",
            Self::PerformRpc => "PerformRpc",
            Self::ForwardParticipant => "ForwardParticipant",
            Self::MoveParticipant => "MoveParticipant",
        }
    }

    /// The method of this name; names are case-sensitive.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }

    pub(super) const fn permission(self) -> Permission {
        match self {
            Self::CreateRoom | Self::DeleteRoom => Permission::RoomCreate,
            Self::ListRooms => Permission::RoomList,
            Self::ListParticipants
            | Self::GetParticipant
            | Self::RemoveParticipant
            | Self::MutePublishedTrack
            | Self::UpdateParticipant
            | Self::UpdateSubscriptions
            | Self::SendData
            | Self::UpdateRoomMetadata
            | Self::PerformRpc
            | Self::ForwardParticipant
            | Self::MoveParticipant => Permission::RoomAdmin,
        }
    }

    /// The grant a token needs, in words.
    pub(super) const fn grant(self) -> &'static str {
        match self {
            Self::CreateRoom | Self::DeleteRoom => "the roomCreate grant",
            Self::ListRooms => "the roomList grant",
            Self::ListParticipants
            | Self::GetParticipant
            | Self::RemoveParticipant
            | Self::MutePublishedTrack
            | Self::UpdateParticipant
            | Self::UpdateSubscriptions
            | Self::SendData
            | Self::UpdateRoomMetadata
            | Self::PerformRpc
            | Self::ForwardParticipant
            | Self::MoveParticipant => "the roomAdmin grant for this very room",
        }
    }
}
