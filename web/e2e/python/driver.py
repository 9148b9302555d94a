"""Drives unmodified PyPI `livekit` clients for the tests.

Reads one JSON command a line on stdin, `{"id": 1, "client": "bob", "op": "connect", ...}`, and writes one
JSON answer a line on stdout, `{"id": 1, "ok": ...}` or `{"id": 1, "error": "..."}`. Room events are written
as `{"client": "bob", "event": "track_subscribed", "at": <seconds>, ...}`. One process holds any number of
clients. Ends when stdin ends, so it cannot outlive the test.

The operations and the shape of their answers are the same in `node/driver.mjs` and `page/client.js`.
"""

import asyncio
import base64
import hashlib
import json
import logging
import os
import sys
import time
from typing import Any

import numpy as np
from livekit import rtc
from livekit.rtc._proto import participant_pb2, room_pb2, stats_pb2, track_pb2, video_frame_pb2

SAMPLE_RATE = 48_000
AUDIO_FRAME_MS = 20
ANALYSIS_SAMPLES = SAMPLE_RATE // 2
CODECS = {
    "vp8": video_frame_pb2.VP8,
    "h264": video_frame_pb2.H264,
    "vp9": video_frame_pb2.VP9,
    "av1": video_frame_pb2.AV1,
}
SOURCES = {
    "camera": track_pb2.SOURCE_CAMERA,
    "microphone": track_pb2.SOURCE_MICROPHONE,
    "screen_share": track_pb2.SOURCE_SCREENSHARE,
    "screen_share_audio": track_pb2.SOURCE_SCREENSHARE_AUDIO,
}
QUALITIES = {"low": 0, "medium": 1, "high": 2}
PATTERN_FRAMES = 30


def write(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def pattern(width: int, height: int) -> list[bytes]:
    """One loop of I420 frames: a diagonal gradient that moves, so that every frame differs and costs bits."""
    y, x = np.mgrid[0:height, 0:width]
    chroma_y, chroma_x = np.mgrid[0 : height // 2, 0 : width // 2]
    frames = []
    for i in range(PATTERN_FRAMES):
        shift = i * 256 // PATTERN_FRAMES
        luma = ((x * 3 + y * 2 + shift) % 256).astype(np.uint8)
        u = ((chroma_x * 2 + shift) % 256).astype(np.uint8)
        v = ((chroma_y * 2 + shift) % 256).astype(np.uint8)
        frames.append(luma.tobytes() + u.tobytes() + v.tobytes())
    return frames


class Tone:
    """A sine fed into an audio source in step with its queue."""

    def __init__(self, frequency: float, amplitude: float, frame_ms: int) -> None:
        self.frequency = frequency
        self.frame_ms = frame_ms
        self.amplitude = amplitude
        self.source = rtc.AudioSource(SAMPLE_RATE, 1, queue_size_ms=200)
        self.task = asyncio.create_task(self.run())

    async def run(self) -> None:
        samples = SAMPLE_RATE * self.frame_ms // 1000
        position = 0
        while True:
            t = (np.arange(samples) + position) / SAMPLE_RATE
            wave = np.sin(2 * np.pi * self.frequency * t) * self.amplitude * 32767
            position += samples
            frame = rtc.AudioFrame(wave.astype(np.int16).tobytes(), SAMPLE_RATE, 1, samples)
            await self.source.capture_frame(frame)


class Picture:
    """A moving pattern captured at a steady rate."""

    def __init__(self, width: int, height: int, fps: float) -> None:
        self.size = (width, height)
        self.fps = fps
        self.captured = 0
        self.source = rtc.VideoSource(width, height)
        self.task = asyncio.create_task(self.run())

    async def run(self) -> None:
        width, height = self.size
        frames = pattern(width, height)
        start = time.monotonic()
        while True:
            data = frames[self.captured % len(frames)]
            frame = rtc.VideoFrame(width, height, rtc.VideoBufferType.I420, data)
            self.source.capture_frame(frame, timestamp_us=int((time.monotonic()) * 1e6))
            self.captured += 1
            await asyncio.sleep(max(0.0, start + self.captured / self.fps - time.monotonic()))


class Sink:
    """What a receiver makes of one track: loudness and pitch, or changing pictures."""

    def __init__(self, track: rtc.Track) -> None:
        self.rms = 0.0
        self.frequency = 0.0
        self.frequency_right = 0.0
        self.frames = 0
        self.distinct = 0
        self.size = (0, 0)
        self.last_at = 0.0
        self.longest_gap = 0.0
        self.track = track
        audio = track.kind == track_pb2.KIND_AUDIO
        self.task = asyncio.create_task(self.hear() if audio else self.watch())

    async def hear(self) -> None:
        heard = np.zeros((0, 2), dtype=np.float64)
        async for event in rtc.AudioStream(self.track, sample_rate=SAMPLE_RATE, num_channels=2):
            samples = np.frombuffer(event.frame.data, dtype=np.int16).astype(np.float64) / 32768
            heard = np.concatenate([heard, samples.reshape(-1, 2)])
            self.frames += 1
            if len(heard) < ANALYSIS_SAMPLES:
                continue
            window, heard = heard[:ANALYSIS_SAMPLES], heard[ANALYSIS_SAMPLES:]
            self.rms = float(np.sqrt(np.mean(window[:, 0] ** 2)))
            self.frequency, self.frequency_right = (
                float(np.argmax(np.abs(np.fft.rfft(window[:, side]))) * SAMPLE_RATE / ANALYSIS_SAMPLES)
                for side in (0, 1)
            )

    async def watch(self) -> None:
        previous = b""
        async for event in rtc.VideoStream(self.track, capacity=4):
            now = time.monotonic()
            if self.last_at:
                self.longest_gap = max(self.longest_gap, now - self.last_at)
            self.last_at = now
            frame = event.frame
            self.frames += 1
            self.size = (frame.width, frame.height)
            digest = hashlib.blake2b(bytes(frame.data)[: frame.width * frame.height]).digest()
            self.distinct += digest != previous
            previous = digest

    def forget_gaps(self) -> None:
        self.last_at = 0.0
        self.longest_gap = 0.0

    def view(self) -> dict[str, Any]:
        return {
            "rms": self.rms,
            "frequency": self.frequency,
            "frequencyRight": self.frequency_right,
            "frames": self.frames,
            "distinct": self.distinct,
            "width": self.size[0],
            "height": self.size[1],
            "longestGap": self.longest_gap,
        }


class Client:
    def __init__(self, name: str) -> None:
        self.name = name
        self.room = rtc.Room()
        self.sources: dict[str, Tone | Picture] = {}
        self.sinks: dict[str, Sink] = {}
        self.keep: set[asyncio.Task[None]] = set()

    def report(self, event: str, **fields: Any) -> None:
        write({"client": self.name, "event": event, "at": time.time(), **fields})

    # -- joining and leaving

    async def connect(
        self,
        url: str,
        token: str,
        mode: str = "v1",
        autoSubscribe: bool = True,
        dynacast: bool = True,
        sink: bool = True,
    ) -> dict[str, Any]:
        self.listen(sink)
        begun = time.monotonic()
        options = rtc.RoomOptions(
            auto_subscribe=autoSubscribe,
            dynacast=dynacast,
            single_peer_connection=mode == "v1",
        )
        await self.room.connect(url, token, options)
        self.register()
        local = self.room.local_participant
        return {"sid": local.sid, "identity": local.identity, "seconds": time.monotonic() - begun}

    def listen(self, sink: bool) -> None:
        room = self.room

        def on(name: str, describe: Any) -> None:
            room.on(name, lambda *args: self.report(name, **describe(*args)))

        on("participant_connected", lambda p: {"identity": p.identity})
        on("participant_disconnected", lambda p: {"identity": p.identity, "reason": p.disconnect_reason})
        on("track_published", lambda pub, p: {"identity": p.identity, "sid": pub.sid})
        on("track_unpublished", lambda pub, p: {"identity": p.identity, "sid": pub.sid})
        on("track_unsubscribed", lambda t, pub, p: {"identity": p.identity, "sid": pub.sid})
        on("track_subscription_failed", lambda p, sid, e: {"identity": p.identity, "sid": sid, "error": str(e)})
        on("local_track_subscribed", lambda t: {"sid": t.sid})
        on("local_track_republished", lambda pub, old, *rest: {"sid": pub.sid, "previous": str(old)})
        on("track_muted", lambda p, pub: {"identity": p.identity, "sid": pub.sid})
        on("track_unmuted", lambda p, pub: {"identity": p.identity, "sid": pub.sid})
        on("active_speakers_changed", lambda ps: {"identities": [p.identity for p in ps]})
        on("room_metadata_changed", lambda old, new: {"metadata": new})
        on("participant_metadata_changed", lambda p, old, new: {"identity": p.identity, "metadata": new})
        on("participant_name_changed", lambda p, old, new: {"identity": p.identity, "name": new})
        on("participant_attributes_changed", lambda changed, p: {"identity": p.identity, "changed": dict(changed)})
        on("connection_quality_changed", lambda p, q: {"identity": p.identity, "quality": int(q)})
        on("connection_state_changed", lambda s: {"state": int(s)})
        on("connected", lambda *a: {})
        on("reconnecting", lambda *a: {})
        on("reconnected", lambda *a: {})
        on("token_refreshed", lambda *a: {})
        on("disconnected", lambda reason: {"reason": participant_pb2.DisconnectReason.Name(reason)})
        on(
            "data_received",
            lambda packet: {
                "identity": packet.participant.identity if packet.participant else None,
                "topic": packet.topic,
                "kind": "reliable" if packet.kind == room_pb2.KIND_RELIABLE else "lossy",
                "payload": base64.b64encode(packet.data).decode(),
            },
        )

        @room.on("track_subscribed")
        def subscribed(track: rtc.Track, publication: Any, participant: Any) -> None:
            if sink:
                self.sinks[publication.sid] = Sink(track)
            self.report("track_subscribed", identity=participant.identity, sid=publication.sid)

    def register(self) -> None:
        local = self.room.local_participant

        async def echo(data: rtc.RpcInvocationData) -> str:
            return f"{data.caller_identity}:{data.payload}"

        async def refuse(data: rtc.RpcInvocationData) -> str:
            raise rtc.RpcError(1234, "refused", data.payload)

        local.register_rpc_method("echo", echo)
        local.register_rpc_method("refuse", refuse)

        async def text(reader: Any, identity: str) -> None:
            whole = await reader.read_all()
            self.report(
                "text_stream",
                identity=identity,
                topic=reader.info.topic,
                length=len(whole.encode()),
                digest=hashlib.sha256(whole.encode()).hexdigest(),
            )

        async def octets(reader: Any, identity: str) -> None:
            digest = hashlib.sha256()
            length = 0
            async for chunk in reader:
                digest.update(chunk)
                length += len(chunk)
            self.report(
                "byte_stream", identity=identity, topic=reader.info.topic, length=length, digest=digest.hexdigest()
            )

        self.room.register_text_stream_handler("text", lambda r, i: self.spawn(text(r, i)))
        self.room.register_byte_stream_handler("bytes", lambda r, i: self.spawn(octets(r, i)))

    def spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self.keep.add(task)
        task.add_done_callback(self.keep.discard)

    async def disconnect(self) -> None:
        for source in self.sources.values():
            source.task.cancel()
        for sink in self.sinks.values():
            sink.task.cancel()
        await self.room.disconnect()

    async def simulate(self, scenario: str) -> None:
        kinds = {
            "signal": room_pb2.SIMULATE_SIGNAL_RECONNECT,
            "full": room_pb2.SIMULATE_FULL_RECONNECT,
            "server_leave": room_pb2.SIMULATE_SERVER_LEAVE,
            "speaker": room_pb2.SIMULATE_SPEAKER,
            "resume_then_drop": room_pb2.SIMULATE_DISCONNECT_SIGNAL_ON_RESUME,
            "migration": room_pb2.SIMULATE_MIGRATION,
            "node_failure": room_pb2.SIMULATE_NODE_FAILURE,
        }
        await self.room.simulate_scenario(kinds[scenario])

    # -- publishing

    async def publish_audio(
        self,
        name: str = "audio",
        frequency: float = 440,
        amplitude: float = 0.3,
        source: str = "microphone",
        dtx: bool = False,
        red: bool = True,
        frameMs: int = AUDIO_FRAME_MS,
    ) -> dict[str, Any]:
        tone = Tone(frequency, amplitude, frameMs)
        self.sources[name] = tone
        track = rtc.LocalAudioTrack.create_audio_track(name, tone.source)
        options = rtc.TrackPublishOptions(source=SOURCES[source], dtx=dtx, red=red)
        publication = await self.room.local_participant.publish_track(track, options)
        return {"sid": publication.sid}

    async def set_tone(self, name: str = "audio", amplitude: float = 0.3) -> None:
        tone = self.sources[name]
        assert isinstance(tone, Tone)
        tone.amplitude = amplitude

    async def publish_video(
        self,
        name: str = "video",
        width: int = 640,
        height: int = 360,
        fps: float = 15,
        codec: str = "vp8",
        simulcast: bool = False,
        source: str = "camera",
        bitrate: int = 600_000,
        scalability: str | None = None,
    ) -> dict[str, Any]:
        picture = Picture(width, height, fps)
        self.sources[name] = picture
        track = rtc.LocalVideoTrack.create_video_track(name, picture.source)
        options = rtc.TrackPublishOptions(
            source=SOURCES[source],
            video_codec=CODECS[codec],
            simulcast=simulcast,
            video_encoding=room_pb2.VideoEncoding(max_bitrate=bitrate, max_framerate=fps),
        )
        if scalability:
            options.scalability_mode = scalability
        publication = await self.room.local_participant.publish_track(track, options)
        return {"sid": publication.sid}

    async def unpublish(self, sid: str) -> None:
        await self.room.local_participant.unpublish_track(sid)

    async def mute(self, sid: str, muted: bool) -> None:
        track = self.room.local_participant.track_publications[sid].track
        track.mute() if muted else track.unmute()

    async def set_permissions(self, everybody: bool, tracks: list[dict[str, Any]] | None = None) -> None:
        self.room.local_participant.set_track_subscription_permissions(
            allow_all_participants=everybody,
            participant_permissions=[
                room_pb2.ParticipantTrackPermission(
                    participant_identity=t["identity"],
                    allow_all=t.get("all", False),
                    allowed_track_sids=t.get("sids", []),
                )
                for t in tracks or []
            ],
        )

    # -- subscribing

    def remote_publication(self, sid: str) -> rtc.RemoteTrackPublication:
        for participant in self.room.remote_participants.values():
            if sid in participant.track_publications:
                return participant.track_publications[sid]
        raise LookupError(f"no publication {sid}")

    async def set_subscribed(self, sid: str, subscribed: bool) -> None:
        self.remote_publication(sid).set_subscribed(subscribed)

    async def set_quality(self, sid: str, quality: str) -> None:
        self.remote_publication(sid).set_video_quality(QUALITIES[quality])

    async def hear(self, sid: str) -> dict[str, Any] | None:
        """Loudness of the left ear and pitch of both, over the last half second."""
        return self.sinks[sid].view() if sid in self.sinks else None

    async def forget_gaps(self, sid: str) -> None:
        self.sinks[sid].forget_gaps()

    async def gaps(self, sid: str) -> dict[str, float]:
        """The longest pause between two pictures since `forget_gaps`, in milliseconds."""
        return {"longestGap": self.sinks[sid].longest_gap * 1000}

    # -- data

    async def send_data(
        self, payload: str, reliable: bool = True, topic: str = "", to: list[str] | None = None
    ) -> None:
        await self.room.local_participant.publish_data(
            base64.b64decode(payload), reliable=reliable, topic=topic, destination_identities=to or []
        )

    async def rpc(self, to: str, method: str, payload: str, timeout: float = 8) -> dict[str, Any]:
        try:
            answer = await self.room.local_participant.perform_rpc(
                destination_identity=to, method=method, payload=payload, response_timeout=timeout
            )
        except rtc.RpcError as error:
            return {"code": int(error.code), "message": error.message, "data": error.data}
        return {"answer": answer}

    async def send_text(self, text: str, topic: str = "text", to: list[str] | None = None) -> None:
        await self.room.local_participant.send_text(text, topic=topic, destination_identities=to)

    async def send_bytes(self, payload: str, topic: str = "bytes", to: list[str] | None = None) -> None:
        data = base64.b64decode(payload)
        writer = await self.room.local_participant.stream_bytes(
            "blob", total_size=len(data), topic=topic, destination_identities=to
        )
        for start in range(0, len(data), 15_000):
            await writer.write(data[start : start + 15_000])
        await writer.aclose()

    async def set_metadata(self, metadata: str) -> None:
        await self.room.local_participant.set_metadata(metadata)

    async def set_name(self, name: str) -> None:
        await self.room.local_participant.set_name(name)

    async def set_attributes(self, attributes: dict[str, str]) -> None:
        await self.room.local_participant.set_attributes(attributes)

    # -- looking

    async def state(self) -> dict[str, Any]:
        def publications(participant: Any) -> list[dict[str, Any]]:
            return [
                {
                    "sid": p.sid,
                    "name": p.name,
                    "kind": "audio" if p.kind == track_pb2.KIND_AUDIO else "video",
                    "source": track_pb2.TrackSource.Name(p.source).removeprefix("SOURCE_").lower(),
                    "muted": p.muted,
                    "mime": p.mime_type,
                    "width": p.width,
                    "height": p.height,
                    "simulcast": p.simulcasted,
                    "subscribed": p.track is not None,
                }
                for p in participant.track_publications.values()
            ]

        def view(participant: Any) -> dict[str, Any]:
            return {
                "sid": participant.sid,
                "identity": participant.identity,
                "name": participant.name,
                "metadata": participant.metadata,
                "attributes": dict(participant.attributes),
                "quality": int(participant.connection_quality),
                "tracks": publications(participant),
            }

        room = self.room
        return {
            "connected": room.isconnected(),
            "local": view(room.local_participant),
            "remote": {p.identity: view(p) for p in room.remote_participants.values()},
            "sinks": {sid: sink.view() for sid, sink in self.sinks.items()},
            "captured": {n: s.captured for n, s in self.sources.items() if isinstance(s, Picture)},
            "metadata": room.metadata,
        }

    async def stats(self) -> dict[str, Any]:
        """Per-track statistics, keyed by track sid, with the names `getStats()` uses."""
        inbound = {}
        for participant in self.room.remote_participants.values():
            for publication in participant.track_publications.values():
                if publication.track is not None:
                    entry = flatten(await publication.track.get_stats(), "inbound_rtp")
                    for one in entry:
                        inbound[publication.sid] = {"identity": participant.identity, **one}
        outbound = {}
        for publication in self.room.local_participant.track_publications.values():
            if publication.track is not None:
                outbound[publication.sid] = flatten(await publication.track.get_stats(), "outbound_rtp")
        return {"at": time.time(), "inbound": inbound, "outbound": outbound}


    async def streams(self) -> dict[str, Any]:
        """What arrives, by SSRC: one look at the whole session, for sessions of many tracks."""
        stats = await self.room.get_rtc_stats()
        # With one peer connection both lists are of the same.
        entries = flatten([*stats.publisher_stats, *stats.subscriber_stats], "inbound_rtp")
        return {"at": time.time(), "streams": {str(entry["ssrc"]): entry for entry in entries}}


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def flatten(stats: list[stats_pb2.RtcStats], kind: str) -> list[dict[str, Any]]:
    codecs = {s.codec.rtc.id: s.codec.codec.mime_type for s in stats if s.WhichOneof("stats") == "codec"}
    flat = []
    for one in stats:
        if one.WhichOneof("stats") != kind:
            continue
        entry: dict[str, Any] = {}
        for _, part in getattr(one, kind).ListFields():
            for field in part.DESCRIPTOR.fields:
                value = getattr(part, field.name)
                if isinstance(value, (int, float, str, bool)):
                    entry[camel(field.name)] = value
        entry["mime"] = codecs.get(entry.get("codecId", ""), "")
        # `getStats()` says "freezes" in the plural for the total.
        entry["totalFreezesDuration"] = entry.pop("totalFreezeDuration", 0.0)
        flat.append(entry)
    return flat


async def answer(clients: dict[str, Client], command: dict[str, Any]) -> None:
    number, name, op = command.pop("id"), command.pop("client"), command.pop("op")
    if op == "connect" or name not in clients:
        clients[name] = Client(name)
    try:
        write({"id": number, "ok": await getattr(clients[name], op)(**command)})
    except Exception as error:  # whatever went wrong belongs to the test, which decides if it was expected
        write({"id": number, "error": f"{type(error).__name__}: {error}"})


async def main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    clients: dict[str, Client] = {}
    tasks: set[asyncio.Task[None]] = set()
    write({"event": "ready", "client": "", "at": time.time(), "version": rtc.__version__})
    while line := await reader.readline():
        task = asyncio.create_task(answer(clients, json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


if __name__ == "__main__":
    if os.environ.get("SPARKRTC_E2E_CLIENT_LOG"):
        logging.basicConfig(level=logging.DEBUG, format="%(relativeCreated)d %(name)s %(message)s")
    asyncio.run(main())
    # The native library keeps threads of its own; nothing is left to flush once stdin has ended.
    sys.stdout.flush()
    os._exit(0)
