use super::*;

#[test]
fn an_apps_token_opens_what_its_grants_name_and_nothing_else() {
    use Permission::{
        AppCreate, AppDelete, AppKeyRead, AppRead, AppUpdate, RoomAdmin, RoomCreate, RoomList,
        TokenCreate,
    };
    let own = AppId::new("own").unwrap();
    let foreign = AppId::new("foreign").unwrap();
    let room = RoomName::new("r").unwrap();
    let other_room = RoomName::new("s").unwrap();
    let all = VideoGrants {
        room_create: true,
        room_list: true,
        room_admin: true,
        room_join: true,
        room: "r".into(),
        ..VideoGrants::default()
    };
    let caller =
        |grants: &VideoGrants| Caller::AppServer { app: own.clone(), grants: grants.clone() };
    let none = VideoGrants { room_join: true, room: "r".into(), ..VideoGrants::default() };
    let no_room = VideoGrants { room: String::new(), ..all.clone() };
    let cases = [
        (&all, RoomCreate, Target::App(&own), true),
        (&all, RoomCreate, Target::Room(&own, &other_room), true),
        (&all, RoomList, Target::App(&own), true),
        (&all, RoomAdmin, Target::Room(&own, &room), true),
        (&all, RoomAdmin, Target::Room(&own, &other_room), false),
        (&all, RoomAdmin, Target::App(&own), false),
        (&no_room, RoomAdmin, Target::Room(&own, &room), false),
        (&none, RoomCreate, Target::Room(&own, &room), false),
        (&none, RoomList, Target::App(&own), false),
        (&none, RoomAdmin, Target::Room(&own, &room), false),
        (&all, RoomCreate, Target::App(&foreign), false),
        (&all, RoomList, Target::App(&foreign), false),
        (&all, RoomAdmin, Target::Room(&foreign, &room), false),
        (&all, RoomList, Target::Server, false),
    ];
    for (grants, permission, target, expected) in cases {
        let passed = caller(grants).require(permission, target);
        assert_eq!(passed.is_ok(), expected, "{permission:?} on {target:?}");
    }
    for permission in [AppCreate, AppRead, AppKeyRead, AppUpdate, AppDelete, TokenCreate] {
        for target in [Target::Server, Target::App(&own), Target::Room(&own, &room)] {
            let refused = caller(&all).require(permission, target).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::Forbidden, "{permission:?} on {target:?}");
        }
    }
}

#[test]
fn nobody_may_nothing_and_the_operator_everything() {
    let refused = Caller::Anonymous.require(Permission::RoomList, Target::Server).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Unauthenticated);
    assert!(Caller::Operator.require(Permission::AppDelete, Target::Server).is_ok());
}
