// Drives unmodified npm `@livekit/rtc-node` clients for the tests. Same line protocol, operations and answers as
// `python/driver.py`: one JSON command a line on stdin, one JSON answer or event a line on stdout.

import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import {
  AudioFrame,
  AudioSource,
  AudioStream,
  DisconnectReason,
  LocalAudioTrack,
  LocalVideoTrack,
  Room,
  RoomEvent,
  RpcError,
  SimulateScenarioKind,
  TrackKind,
  TrackPublishOptions,
  TrackSource,
  VideoBufferType,
  VideoCodec,
  VideoFrame,
  VideoSource,
  VideoStream,
} from "@livekit/rtc-node";

const SAMPLE_RATE = 48_000;
const AUDIO_FRAME_MS = 20;
const PATTERN_FRAMES = 30;
const CODECS = {
  vp8: VideoCodec.VP8,
  h264: VideoCodec.H264,
  vp9: VideoCodec.VP9,
  av1: VideoCodec.AV1,
};
const SOURCES = {
  camera: TrackSource.SOURCE_CAMERA,
  microphone: TrackSource.SOURCE_MICROPHONE,
  screen_share: TrackSource.SOURCE_SCREENSHARE,
  screen_share_audio: TrackSource.SOURCE_SCREENSHARE_AUDIO,
};
const SCENARIOS = {
  signal: SimulateScenarioKind.SIMULATE_SIGNAL_RECONNECT,
  full: SimulateScenarioKind.SIMULATE_FULL_RECONNECT,
};

const write = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const seconds = () => Date.now() / 1000;

// One loop of I420 frames: a diagonal gradient that moves, so that every frame differs and costs bits.
function pattern(width, height) {
  return Array.from({ length: PATTERN_FRAMES }, (_, i) => {
    const shift = Math.floor((i * 256) / PATTERN_FRAMES);
    const data = new Uint8Array((width * height * 3) / 2);
    let at = 0;
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) data[at++] = x * 3 + y * 2 + shift;
    for (let y = 0; y < height / 2; y++)
      for (let x = 0; x < width / 2; x++) data[at++] = x * 2 + shift;
    for (let y = 0; y < height / 2; y++)
      for (let x = 0; x < width / 2; x++) data[at++] = y * 2 + shift;
    return data;
  });
}

class Tone {
  constructor(frequency, amplitude) {
    this.frequency = frequency;
    this.amplitude = amplitude;
    this.source = new AudioSource(SAMPLE_RATE, 1, 200);
    this.stopped = false;
    this.run();
  }

  async run() {
    const samples = (SAMPLE_RATE * AUDIO_FRAME_MS) / 1000;
    for (let position = 0; !this.stopped; position += samples) {
      const data = new Int16Array(samples);
      for (let i = 0; i < samples; i++) {
        data[i] =
          Math.sin((2 * Math.PI * this.frequency * (position + i)) / SAMPLE_RATE) *
          this.amplitude *
          32767;
      }
      await this.source.captureFrame(new AudioFrame(data, SAMPLE_RATE, 1, samples));
    }
  }

  stop() {
    this.stopped = true;
  }
}

class Picture {
  constructor(width, height, fps) {
    this.source = new VideoSource(width, height);
    this.captured = 0;
    const frames = pattern(width, height);
    const start = performance.now();
    const step = () => {
      const frame = new VideoFrame(
        frames[this.captured % frames.length],
        width,
        height,
        VideoBufferType.I420,
      );
      this.source.captureFrame(frame, BigInt(Math.round(performance.now() * 1000)));
      this.captured += 1;
      this.timer = setTimeout(
        step,
        Math.max(0, start + (this.captured * 1000) / fps - performance.now()),
      );
    };
    step();
  }

  stop() {
    clearTimeout(this.timer);
  }
}

// What a receiver makes of one track: loudness and pitch (by zero crossings), or changing pictures.
class Sink {
  constructor(track) {
    this.view = { rms: 0, frequency: 0, frames: 0, distinct: 0, width: 0, height: 0 };
    if (track.kind === TrackKind.KIND_AUDIO) this.hear(track);
    else this.watch(track);
  }

  async hear(track) {
    let sum = 0;
    let count = 0;
    let crossings = 0;
    let previous = 0;
    for await (const frame of new AudioStream(track, { sampleRate: SAMPLE_RATE, numChannels: 1 })) {
      this.view.frames += 1;
      for (const sample of frame.data) {
        sum += (sample / 32768) ** 2;
        count += 1;
        if (previous < 0 && sample >= 0) crossings += 1;
        previous = sample;
      }
      if (count >= SAMPLE_RATE / 2) {
        this.view.rms = Math.sqrt(sum / count);
        this.view.frequency = (crossings * SAMPLE_RATE) / count;
        sum = count = crossings = 0;
      }
    }
  }

  async watch(track) {
    let previous = "";
    for await (const { frame } of new VideoStream(track)) {
      this.view.frames += 1;
      this.view.width = frame.width;
      this.view.height = frame.height;
      const digest = createHash("sha1").update(frame.data).digest("hex");
      if (digest !== previous) this.view.distinct += 1;
      previous = digest;
    }
  }
}

class Client {
  sources = new Map();
  sinks = new Map();
  room = new Room();

  constructor(name) {
    this.name = name;
  }

  report(event, fields = {}) {
    write({ client: this.name, event, at: seconds(), ...fields });
  }

  async connect({ url, token, autoSubscribe = true, dynacast = true, sink = true }) {
    this.listen(sink);
    const begun = performance.now();
    await this.room.connect(url, token, { autoSubscribe, dynacast });
    this.register();
    const local = this.room.localParticipant;
    return {
      sid: local.sid,
      identity: local.identity,
      seconds: (performance.now() - begun) / 1000,
    };
  }

  listen(sink) {
    const on = (event, name, describe) =>
      this.room.on(event, (...args) => this.report(name, describe?.(...args)));
    const whose = (publication, participant) => ({
      identity: participant.identity,
      sid: publication.sid,
    });
    on(RoomEvent.ParticipantConnected, "participant_connected", (p) => ({ identity: p.identity }));
    on(RoomEvent.ParticipantDisconnected, "participant_disconnected", (p) => ({
      identity: p.identity,
    }));
    on(RoomEvent.TrackPublished, "track_published", whose);
    on(RoomEvent.TrackUnpublished, "track_unpublished", whose);
    on(RoomEvent.TrackMuted, "track_muted", whose);
    on(RoomEvent.TrackUnmuted, "track_unmuted", whose);
    on(RoomEvent.ActiveSpeakersChanged, "active_speakers_changed", (ps) => ({
      identities: ps.map((p) => p.identity),
    }));
    on(RoomEvent.Reconnecting, "reconnecting");
    on(RoomEvent.Reconnected, "reconnected");
    on(RoomEvent.Disconnected, "disconnected", (reason) => ({ reason: DisconnectReason[reason] }));
    this.room.on(RoomEvent.DataReceived, (payload, participant, kind, topic) =>
      this.report("data_received", {
        identity: participant?.identity ?? null,
        topic: topic ?? "",
        kind: kind === 1 ? "reliable" : "lossy",
        payload: Buffer.from(payload).toString("base64"),
      }),
    );
    this.room.on(RoomEvent.TrackSubscribed, (track, publication, participant) => {
      if (sink) this.sinks.set(publication.sid, new Sink(track));
      this.report("track_subscribed", whose(publication, participant));
    });
  }

  register() {
    const digest = (bytes) => createHash("sha256").update(bytes).digest("hex");
    const local = this.room.localParticipant;
    local.registerRpcMethod("echo", async (data) => `${data.callerIdentity}:${data.payload}`);
    local.registerRpcMethod("refuse", async (data) => {
      throw new RpcError(1234, "refused", data.payload);
    });
    this.room.registerTextStreamHandler("text", async (reader, { identity }) => {
      const bytes = Buffer.from(await reader.readAll());
      this.report("text_stream", {
        identity,
        topic: reader.info.topic,
        length: bytes.length,
        digest: digest(bytes),
      });
    });
    this.room.registerByteStreamHandler("bytes", async (reader, { identity }) => {
      const bytes = Buffer.concat(await reader.readAll());
      this.report("byte_stream", {
        identity,
        topic: reader.info.topic,
        length: bytes.length,
        digest: digest(bytes),
      });
    });
  }

  async disconnect() {
    for (const source of this.sources.values()) source.stop();
    await this.room.disconnect();
  }

  async simulate({ scenario }) {
    await this.room.simulateScenario(SCENARIOS[scenario]);
  }

  async publish_audio({
    name = "audio",
    frequency = 440,
    amplitude = 0.3,
    source = "microphone",
    dtx = false,
    red = true,
  }) {
    const tone = new Tone(frequency, amplitude);
    this.sources.set(name, tone);
    const track = LocalAudioTrack.createAudioTrack(name, tone.source);
    const options = new TrackPublishOptions({ source: SOURCES[source], dtx, red });
    return { sid: (await this.room.localParticipant.publishTrack(track, options)).sid };
  }

  async publish_video({
    name = "video",
    width = 640,
    height = 360,
    fps = 15,
    codec = "vp8",
    simulcast = false,
    source = "camera",
    bitrate = 600_000,
  }) {
    const picture = new Picture(width, height, fps);
    this.sources.set(name, picture);
    const track = LocalVideoTrack.createVideoTrack(name, picture.source);
    const options = new TrackPublishOptions({
      source: SOURCES[source],
      videoCodec: CODECS[codec],
      simulcast,
      videoEncoding: { maxBitrate: BigInt(bitrate), maxFramerate: fps },
    });
    return { sid: (await this.room.localParticipant.publishTrack(track, options)).sid };
  }

  async unpublish({ sid }) {
    await this.room.localParticipant.unpublishTrack(sid);
  }

  async send_data({ payload, reliable = true, topic = "", to = [] }) {
    const bytes = new Uint8Array(Buffer.from(payload, "base64"));
    await this.room.localParticipant.publishData(bytes, {
      reliable,
      topic,
      destination_identities: to,
    });
  }

  async rpc({ to, method, payload, timeout = 8 }) {
    try {
      const answer = await this.room.localParticipant.performRpc({
        destinationIdentity: to,
        method,
        payload,
        responseTimeout: timeout * 1000,
      });
      return { answer };
    } catch (error) {
      if (error instanceof RpcError)
        return { code: error.code, message: error.message, data: error.data };
      throw error;
    }
  }

  async send_text({ text, topic = "text", to }) {
    await this.room.localParticipant.sendText(text, { topic, destinationIdentities: to });
  }

  async send_bytes({ payload, topic = "bytes", to }) {
    const bytes = new Uint8Array(Buffer.from(payload, "base64"));
    const writer = await this.room.localParticipant.streamBytes({
      name: "blob",
      topic,
      destinationIdentities: to,
      totalSize: bytes.length,
    });
    await writer.write(bytes);
    await writer.close();
  }

  async state() {
    const { room } = this;
    const view = (p) => ({
      sid: p.sid,
      identity: p.identity,
      name: p.name ?? "",
      metadata: p.metadata,
      attributes: { ...p.attributes },
      tracks: [...p.trackPublications.values()].map((t) => ({
        sid: t.sid,
        name: t.name,
        kind: t.kind === TrackKind.KIND_AUDIO ? "audio" : "video",
        muted: t.muted,
        mime: t.mimeType ?? "",
        subscribed: t.track !== undefined,
      })),
    });
    return {
      connected: room.isConnected,
      metadata: room.metadata,
      local: view(room.localParticipant),
      remote: Object.fromEntries(
        [...room.remoteParticipants.values()].map((p) => [p.identity, view(p)]),
      ),
      sinks: Object.fromEntries([...this.sinks].map(([sid, sink]) => [sid, sink.view])),
      captured: Object.fromEntries(
        [...this.sources]
          .filter(([, s]) => s instanceof Picture)
          .map(([name, s]) => [name, s.captured]),
      ),
    };
  }
}

const clients = new Map();
write({ client: "", event: "ready", at: seconds() });
for await (const line of createInterface({ input: process.stdin })) {
  const { id, client, op, ...args } = JSON.parse(line);
  if (op === "connect" || !clients.has(client)) clients.set(client, new Client(client));
  Promise.resolve()
    .then(() => clients.get(client)[op](args))
    .then(
      (ok) => write({ id, ok: ok ?? null }),
      (error) => write({ id, error: String(error) }),
    );
}
process.exit(0);
