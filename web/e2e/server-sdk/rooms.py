"""Every method of RoomService through PyPI `livekit-api`, unmodified, with PyPI `livekit` clients in the room.

Starts the binary named by SPARKRTC_BIN in a directory of its own, and a receiver of webhooks that believes only what
`livekit.api.WebhookReceiver` believes. Ends with 0 when everything was as it should be; says what was not otherwise.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, AsyncIterator

from aiohttp import web
from livekit import api, rtc
from livekit.protocol import models, room as room_proto

KEY, SECRET = "devkey", "secret"
DEADLINE_S = 15.0
SAMPLES_PER_S = 48_000


async def until(what: str, condition: Callable[[], Any], deadline: float = DEADLINE_S) -> Any:
    """Asks `condition` (which may be async) until it holds; fails with `what` past the deadline."""
    end = time.monotonic() + deadline
    while True:
        found = condition()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline} s for {what}; last: {found!r}")
        await asyncio.sleep(0.05)


class Webhooks:
    """The app owner's server."""

    def __init__(self) -> None:
        self.receiver = api.WebhookReceiver(api.TokenVerifier(KEY, SECRET))
        self.events: list[Any] = []
        self.refused: list[str] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        body = await request.text()
        try:
            self.events.append(self.receiver.receive(body, request.headers["Authorization"]))
        except Exception as error:  # a test looks at what was refused
            self.refused.append(f"{error!r}: {body}")
        return web.Response()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_post("/webhook", self.take)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/webhook"
        try:
            yield
        finally:
            await runner.cleanup()

    def told(self, room: str) -> list[str]:
        return [
            f"{event.event} {event.participant.identity}".strip()
            for event in self.events
            if event.room.name == room
        ]


@asynccontextmanager
async def server(webhook_url: str) -> AsyncIterator[str]:
    """Runs the binary; gives the address it listens on."""
    with tempfile.TemporaryDirectory(prefix="sparkrtc-e2e-") as directory:
        env = {**os.environ, "SPARKRTC_WEBHOOKS__URLS": json.dumps([webhook_url])}
        log = Path(directory, "log")
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                os.environ["SPARKRTC_BIN"],
                *("serve", "--data-dir", directory, "--http", "127.0.0.1:0", "--dev"),
                env=env,
                stdout=output,
                stderr=output,
            )
        ports = Path(directory, "ports.json")
        try:
            await until("ports.json", lambda: process.returncode is not None or ports.exists())
            address = json.loads(ports.read_text())["http"]
            yield address
        except BaseException:
            print(log.read_text(errors="replace")[-4000:], file=sys.stderr)
            raise
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()


class Person:
    """A client in a room, and what it has seen."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.room = rtc.Room()
        self.data: list[rtc.DataPacket] = []
        self.muted: list[str] = []
        self.reason: int | None = None
        self.room.on("data_received", self.data.append)
        self.room.on("track_muted", lambda who, pub: self.muted.append(pub.sid))
        self.room.on("disconnected", self.leave)

    def leave(self, reason: int) -> None:
        self.reason = reason

    async def join(self, address: str, room: str) -> "Person":
        token = (
            api.AccessToken(KEY, SECRET)
            .with_identity(self.identity)
            .with_name(self.identity.title())
            .with_attributes({"mood": "calm", "side": "left"})
            .with_grants(api.VideoGrants(room_join=True, room=room))
        )
        await self.room.connect(f"ws://{address}", token.to_jwt())
        return self

    async def publish(self) -> str:
        source = rtc.AudioSource(SAMPLES_PER_S, 1)
        self.voice = asyncio.create_task(self.speak(source))
        track = rtc.LocalAudioTrack.create_audio_track("voice", source)
        options = rtc.TrackPublishOptions(dtx=False)
        publication = await self.room.local_participant.publish_track(track, options)
        return publication.sid

    async def speak(self, source: rtc.AudioSource) -> None:
        samples = SAMPLES_PER_S // 50
        while True:
            await source.capture_frame(
                rtc.AudioFrame(os.urandom(2 * samples), SAMPLES_PER_S, 1, samples)
            )

    async def packets(self, identity: str, sid: str) -> int:
        """How many packets of a track have come; 0 when it does not come at all."""
        track = self.room.remote_participants[identity].track_publications[sid].track
        if track is None:
            return 0
        inbound = [s.inbound_rtp for s in await track.get_stats() if s.HasField("inbound_rtp")]
        return sum(one.received.packets_received for one in inbound)

    def subscribed(self, identity: str, sid: str) -> bool:
        who = self.room.remote_participants.get(identity)
        return who is not None and sid in who.track_publications and bool(
            who.track_publications[sid].track
        )


async def silent(person: Person, identity: str, sid: str) -> bool:
    return await person.packets(identity, sid) == 0


async def sounding(person: Person, identity: str, sid: str) -> bool:
    return await person.packets(identity, sid) > 10


async def refused(call: Awaitable[Any], code: str, status: int) -> None:
    try:
        await call
    except api.ServerError as error:
        found = (error.code, error.status)
        assert found == (code, status), f"{error}: not {code} {status}"
        assert error.message, "an error without words"
    else:
        raise AssertionError(f"should have failed with {code}")


class Story:
    """One server, one API client, and the checks in turn."""

    def __init__(self, address: str, webhooks: Webhooks, client: api.LiveKitAPI) -> None:
        self.address = address
        self.webhooks = webhooks
        self.client = client
        self.rooms = client.room

    async def pair(self, room: str) -> tuple[Person, Person]:
        ada = await Person("ada").join(self.address, room)
        bob = await Person("bob").join(self.address, room)
        await until("both", lambda: "bob" in ada.room.remote_participants)
        return ada, bob

    async def check_rooms(self) -> None:
        create = room_proto.CreateRoomRequest(
            name="made", empty_timeout=77, departure_timeout=11, max_participants=5, metadata="über"
        )
        made = await self.rooms.create_room(create)
        assert made.sid.startswith("RM_")
        settings = (made.name, made.empty_timeout, made.departure_timeout, made.max_participants)
        assert settings == ("made", 77, 11, 5), settings
        assert made.metadata == "über"
        assert (await self.rooms.create_room(create)).sid == made.sid
        every = await self.rooms.list_rooms(room_proto.ListRoomsRequest())
        assert made.sid in [room.sid for room in every.rooms]
        some = await self.rooms.list_rooms(room_proto.ListRoomsRequest(names=["made", "other"]))
        assert [room.sid for room in some.rooms] == [made.sid]
        await self.rooms.delete_room(room_proto.DeleteRoomRequest(room="made"))
        gone = await self.rooms.list_rooms(room_proto.ListRoomsRequest(names=["made"]))
        assert not gone.rooms
        delete = room_proto.DeleteRoomRequest(room="made")
        await refused(self.rooms.delete_room(delete), "not_found", 404)
        await until("webhooks", lambda: "room_finished" in self.webhooks.told("made"))
        assert self.webhooks.told("made") == ["room_started", "room_finished"]

    async def check_participants(self) -> None:
        ada, bob = await self.pair("who")
        sid = await ada.publish()
        await until("ada's track", lambda: bob.subscribed("ada", sid))
        listed = await self.rooms.list_participants(room_proto.ListParticipantsRequest(room="who"))
        assert sorted(info.identity for info in listed.participants) == ["ada", "bob"]
        who = room_proto.RoomParticipantIdentity(room="who", identity="ada")
        info = await self.rooms.get_participant(who)
        assert (info.name, dict(info.attributes)) == ("Ada", {"mood": "calm", "side": "left"})
        assert info.sid.startswith("PA_") and info.state == models.ParticipantInfo.State.ACTIVE
        assert info.permission.can_publish and info.tracks[0].sid == sid
        nobody = room_proto.RoomParticipantIdentity(room="who", identity="carol")
        await refused(self.rooms.get_participant(nobody), "not_found", 404)

        update = room_proto.UpdateParticipantRequest(
            room="who", identity="ada", metadata="new", attributes={"mood": "keen", "side": ""}
        )
        info = await self.rooms.update_participant(update)
        assert (info.metadata, dict(info.attributes)) == ("new", {"mood": "keen"}), info
        await until(
            "ada's metadata", lambda: bob.room.remote_participants["ada"].metadata == "new"
        )

        await until("sound", lambda: sounding(bob, "ada", sid))
        wish = room_proto.UpdateSubscriptionsRequest(room="who", identity="bob", track_sids=[sid])
        # The client tells nobody that the server ended a subscription; its statistics do.
        await self.rooms.update_subscriptions(wish)
        await until("silence", lambda: silent(bob, "ada", sid))
        wish.subscribe = True
        await self.rooms.update_subscriptions(wish)
        await until("sound again", lambda: sounding(bob, "ada", sid))

        mute = room_proto.MuteRoomTrackRequest(
            room="who", identity="ada", track_sid=sid, muted=True
        )
        assert (await self.rooms.mute_published_track(mute)).track.muted
        await until("the mute", lambda: sid in bob.muted)

        await self.rooms.remove_participant(who)
        await until("ada's end", lambda: ada.reason is not None)
        assert ada.reason == rtc.DisconnectReason.PARTICIPANT_REMOVED, ada.reason
        await refused(self.rooms.remove_participant(who), "not_found", 404)
        await self.rooms.delete_room(room_proto.DeleteRoomRequest(room="who"))
        await until("bob's end", lambda: bob.reason is not None)
        assert bob.reason == rtc.DisconnectReason.ROOM_DELETED, bob.reason
        await until("webhooks", lambda: "room_finished" in self.webhooks.told("who"))
        told = self.webhooks.told("who")
        assert told[0] == "room_started" and told[-1] == "room_finished", told
        for event in ("participant_joined", "participant_left"):
            for identity in ("ada", "bob"):
                assert told.count(f"{event} {identity}") == 1, told
        assert told.count("track_published ada") == 1, told

    async def check_data_and_metadata(self) -> None:
        ada, bob = await self.pair("data")
        for topic, to in (("only-bob", ["bob"]), ("all", [])):
            send = room_proto.SendDataRequest(
                room="data",
                data=bytes(range(256)),
                kind=models.DataPacket.Kind.RELIABLE,
                topic=topic,
                destination_identities=to,
            )
            await self.rooms.send_data(send)
        for person in (ada, bob):
            await until("data", lambda: any(p.topic == "all" for p in person.data))
        assert ada.data[-1].data == bytes(range(256))
        assert [p.topic for p in ada.data] == ["all"]
        assert [p.topic for p in bob.data] == ["only-bob", "all"]
        update = room_proto.UpdateRoomMetadataRequest(room="data", metadata="subject")
        assert (await self.rooms.update_room_metadata(update)).metadata == "subject"
        await until("metadata", lambda: bob.room.metadata == "subject")
        await ada.room.disconnect()
        await bob.room.disconnect()

    async def check_refusals(self) -> None:
        move = room_proto.MoveParticipantRequest(room="a", identity="b", destination_room="c")
        await refused(self.rooms.move_participant(move), "unimplemented", 501)
        forward = room_proto.ForwardParticipantRequest(room="a", identity="b", destination_room="c")
        await refused(self.rooms.forward_participant(forward), "unimplemented", 501)
        nameless = room_proto.CreateRoomRequest(name="")
        await refused(self.rooms.create_room(nameless), "invalid_argument", 400)
        large = room_proto.CreateRoomRequest(name="a", metadata="x" * 65 * 1024)
        await refused(self.rooms.create_room(large), "invalid_argument", 400)
        huge = room_proto.CreateRoomRequest(name="a", metadata="x" * 1024 * 1024)
        await refused(self.rooms.create_room(huge), "resource_exhausted", 413)
        async with api.LiveKitAPI(f"http://{self.address}", KEY, "wrong" * 8) as stranger:
            every = room_proto.ListRoomsRequest()
            await refused(stranger.room.list_rooms(every), "unauthenticated", 401)


async def main() -> None:
    async with AsyncExitStack() as stack:
        webhooks = Webhooks()
        await stack.enter_async_context(webhooks.serve())
        address = await stack.enter_async_context(server(webhooks.url))
        client = await stack.enter_async_context(api.LiveKitAPI(f"http://{address}", KEY, SECRET))
        story = Story(address, webhooks, client)
        checks = [
            story.check_rooms,
            story.check_participants,
            story.check_data_and_metadata,
            story.check_refusals,
        ]
        for check in checks:
            begun = time.monotonic()
            await check()
            print(f"ok {check.__name__} {time.monotonic() - begun:.1f} s", flush=True)
        ids = [event.id for event in webhooks.events]
        assert len(set(ids)) == len(ids), "a webhook came twice"
        assert not webhooks.refused, webhooks.refused
        print(f"ok {len(ids)} webhooks verified", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
    sys.stdout.flush()
    # The native library keeps threads of its own; nothing is left to do for them.
    os._exit(0)
