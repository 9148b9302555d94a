// Drives unmodified npm `livekit-client` in a browser page. `window.clients.call(name, op, args)` runs one
// operation; operations and the shape of their answers are the same in `python/driver.py` and `node/driver.mjs`.
// Room events are kept in `window.clients.events`, oldest first.

(() => {
  const { Room, RoomEvent, LocalAudioTrack, RpcError } = window.LivekitClient;
  const QUALITIES = { low: 0, medium: 1, high: 2 };
  const events = [];
  const clients = new Map();

  const toBytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const toBase64 = (bytes) => btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(""));
  const sha256 = async (bytes) => {
    const digest = await crypto.subtle.digest("SHA-256", bytes);
    return Array.from(new Uint8Array(digest), (b) => b.toString(16).padStart(2, "0")).join("");
  };

  class Client {
    constructor(name) {
      this.name = name;
      this.sources = new Map();
      this.elements = new Map();
      this.gapsOf = new Map();
      this.listeners = new Map();
    }

    report(event, fields = {}) {
      events.push({ client: this.name, event, at: Date.now() / 1000, ...fields });
    }

    // -- joining and leaving

    async connect({
      url,
      token,
      mode = "v1",
      autoSubscribe = true,
      dynacast = true,
      adaptiveStream = false,
      attach = true,
    }) {
      const room = new Room({ dynacast, adaptiveStream, singlePeerConnection: mode === "v1" });
      this.room = room;
      this.attach = attach;
      this.listen();
      const begun = performance.now();
      await room.connect(url, token, { autoSubscribe });
      this.register();
      const local = room.localParticipant;
      return {
        sid: local.sid,
        identity: local.identity,
        seconds: (performance.now() - begun) / 1000,
      };
    }

    listen() {
      const on = (event, name, describe) =>
        this.room.on(event, (...args) => this.report(name, describe?.(...args)));
      const whose = (publication, participant) => ({
        identity: participant.identity,
        sid: publication.trackSid,
      });
      on(RoomEvent.ParticipantConnected, "participant_connected", (p) => ({
        identity: p.identity,
      }));
      on(RoomEvent.ParticipantDisconnected, "participant_disconnected", (p) => ({
        identity: p.identity,
      }));
      on(RoomEvent.TrackPublished, "track_published", whose);
      on(RoomEvent.TrackUnpublished, "track_unpublished", whose);
      on(RoomEvent.TrackSubscriptionFailed, "track_subscription_failed", (sid, p, error) => ({
        identity: p.identity,
        sid,
        error: String(error),
      }));
      on(
        RoomEvent.TrackSubscriptionPermissionChanged,
        "subscription_permission",
        (pub, status, p) => ({
          identity: p.identity,
          sid: pub.trackSid,
          status,
        }),
      );
      on(RoomEvent.LocalTrackPublished, "local_track_published", (pub) => ({ sid: pub.trackSid }));
      on(RoomEvent.LocalTrackUnpublished, "local_track_unpublished", (pub) => ({
        sid: pub.trackSid,
      }));
      on(RoomEvent.LocalTrackSubscribed, "local_track_subscribed", (pub) => ({
        sid: pub.trackSid,
      }));
      on(RoomEvent.TrackMuted, "track_muted", whose);
      on(RoomEvent.TrackUnmuted, "track_unmuted", whose);
      on(RoomEvent.TrackStreamStateChanged, "stream_state", (pub, state, p) => ({
        identity: p.identity,
        sid: pub.trackSid,
        state,
      }));
      on(RoomEvent.ActiveSpeakersChanged, "active_speakers_changed", (ps) => ({
        identities: ps.map((p) => p.identity),
      }));
      on(RoomEvent.RoomMetadataChanged, "room_metadata_changed", (metadata) => ({ metadata }));
      on(RoomEvent.ParticipantMetadataChanged, "participant_metadata_changed", (_old, p) => ({
        identity: p.identity,
        metadata: p.metadata,
      }));
      on(RoomEvent.ParticipantNameChanged, "participant_name_changed", (name, p) => ({
        identity: p.identity,
        name,
      }));
      on(
        RoomEvent.ParticipantAttributesChanged,
        "participant_attributes_changed",
        (changed, p) => ({
          identity: p.identity,
          changed,
        }),
      );
      on(RoomEvent.ParticipantPermissionsChanged, "participant_permissions_changed", (_old, p) => ({
        identity: p.identity,
      }));
      on(RoomEvent.ConnectionQualityChanged, "connection_quality_changed", (quality, p) => ({
        identity: p.identity,
        quality,
      }));
      on(RoomEvent.ConnectionStateChanged, "connection_state_changed", (state) => ({ state }));
      on(RoomEvent.SignalReconnecting, "signal_reconnecting");
      on(RoomEvent.Reconnecting, "reconnecting");
      on(RoomEvent.Reconnected, "reconnected");
      on(RoomEvent.Disconnected, "disconnected", (reason) => ({
        reason: window.LivekitClient.DisconnectReason[reason] ?? "UNKNOWN_REASON",
      }));
      this.room.on(RoomEvent.DataReceived, (payload, participant, kind, topic) =>
        this.report("data_received", {
          identity: participant?.identity ?? null,
          topic: topic ?? "",
          kind: kind === 0 ? "reliable" : "lossy",
          payload: toBase64(payload),
        }),
      );
      this.room.on(RoomEvent.TrackSubscribed, (track, publication, participant) => {
        if (this.attach) this.show(track, publication.trackSid);
        this.report("track_subscribed", whose(publication, participant));
      });
      this.room.on(RoomEvent.TrackUnsubscribed, (track, publication, participant) => {
        for (const element of track.detach()) element.remove();
        this.elements.delete(publication.trackSid);
        this.report("track_unsubscribed", whose(publication, participant));
      });
    }

    show(track, sid) {
      const element = track.attach();
      if (track.kind === "video") {
        element.style.width = "640px";
        element.style.height = "360px";
      }
      document.body.append(element);
      this.elements.set(sid, element);
    }

    register() {
      this.room.registerRpcMethod("echo", async (data) => `${data.callerIdentity}:${data.payload}`);
      this.room.registerRpcMethod("refuse", async (data) => {
        throw new RpcError(1234, "refused", data.payload);
      });
      this.room.registerTextStreamHandler("text", async (reader, { identity }) => {
        const bytes = new TextEncoder().encode(await reader.readAll());
        this.report("text_stream", {
          identity,
          topic: reader.info.topic,
          length: bytes.length,
          digest: await sha256(bytes),
        });
      });
      this.room.registerByteStreamHandler("bytes", async (reader, { identity }) => {
        const bytes = new Uint8Array(await new Blob(await reader.readAll()).arrayBuffer());
        this.report("byte_stream", {
          identity,
          topic: reader.info.topic,
          length: bytes.length,
          digest: await sha256(bytes),
        });
      });
    }

    async disconnect() {
      for (const { stop } of this.sources.values()) stop?.();
      await this.room.disconnect();
      for (const element of this.elements.values()) element.remove();
      this.elements.clear();
    }

    async simulate({ scenario, arg }) {
      const names = {
        signal: "resume-reconnect",
        full: "full-reconnect",
        server_full: "leave-full-reconnect",
        server_leave: "server-leave",
        speaker: "speaker",
        resume_then_drop: "disconnect-signal-on-resume",
        migration: "migration",
        bandwidth: "subscriber-bandwidth",
      };
      // 'signal-reconnect' only closes the socket; 'resume-reconnect' also makes the first attempt fail.
      await this.room.simulateScenario(
        scenario === "signal" ? "signal-reconnect" : names[scenario],
        arg,
      );
    }

    // -- publishing

    // With `stereo`, the right ear hears twice the frequency.
    async publish_audio({
      name = "audio",
      frequency = 440,
      amplitude = 0.3,
      source = "microphone",
      dtx = false,
      red = true,
      stereo = false,
    } = {}) {
      const context = new AudioContext({ sampleRate: 48000 });
      const gain = new GainNode(context, { gain: amplitude });
      const channelCount = stereo ? 2 : 1;
      const destination = new MediaStreamAudioDestinationNode(context, { channelCount });
      const merger = new ChannelMergerNode(context, { numberOfInputs: channelCount });
      for (let channel = 0; channel < channelCount; channel++) {
        const oscillator = new OscillatorNode(context, { frequency: frequency * (channel + 1) });
        oscillator.connect(merger, 0, channel);
        oscillator.start();
      }
      merger.connect(gain).connect(destination);
      await context.resume();
      this.sources.set(name, { gain, stop: () => context.close() });
      const track = new LocalAudioTrack(destination.stream.getAudioTracks()[0], undefined, true);
      const publication = await this.room.localParticipant.publishTrack(track, {
        name,
        source,
        dtx,
        red,
        ...(stereo ? { forceStereo: true } : {}),
      });
      return { sid: publication.trackSid };
    }

    // The microphone as the browser opens it, without the processing that takes a steady tone for noise.
    async publish_microphone({ name = "audio", dtx = false, red = true } = {}) {
      const track = await window.LivekitClient.createLocalAudioTrack({
        echoCancellation: false,
        noiseSuppression: false,
        autoGainControl: false,
      });
      this.sources.set(name, { stop: () => track.stop() });
      const publication = await this.room.localParticipant.publishTrack(track, { name, dtx, red });
      return { sid: publication.trackSid };
    }

    async set_tone({ name = "audio", amplitude }) {
      this.sources.get(name).gain.gain.value = amplitude;
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
      scalability,
      backup,
    } = {}) {
      const track = await window.LivekitClient.createLocalVideoTrack({
        resolution: { width, height, frameRate: fps },
      });
      const publication = await this.room.localParticipant.publishTrack(track, {
        name,
        source,
        simulcast,
        videoCodec: codec,
        videoEncoding: { maxBitrate: bitrate, maxFramerate: fps },
        ...(scalability ? { scalabilityMode: scalability } : {}),
        ...(backup === undefined ? {} : { backupCodec: backup }),
      });
      this.sources.set(name, { stop: () => track.stop() });
      return { sid: publication.trackSid };
    }

    publication(sid) {
      const found = this.room.localParticipant.trackPublications.get(sid);
      if (!found) throw new Error(`no publication ${sid}`);
      return found;
    }

    async unpublish({ sid }) {
      await this.room.localParticipant.unpublishTrack(this.publication(sid).track);
    }

    async mute({ sid, muted }) {
      await (muted ? this.publication(sid).mute() : this.publication(sid).unmute());
    }

    async set_permissions({ everybody, tracks = [] }) {
      this.room.localParticipant.setTrackSubscriptionPermissions(
        everybody,
        tracks.map((t) => ({
          participantIdentity: t.identity,
          allowAll: t.all ?? false,
          allowedTrackSids: t.sids ?? [],
        })),
      );
    }

    // -- subscribing

    remotePublication(sid) {
      for (const participant of this.room.remoteParticipants.values()) {
        const found = participant.trackPublications.get(sid);
        if (found) return found;
      }
      throw new Error(`no publication ${sid}`);
    }

    async set_subscribed({ sid, subscribed }) {
      this.remotePublication(sid).setSubscribed(subscribed);
    }

    async set_quality({ sid, quality }) {
      this.remotePublication(sid).setVideoQuality(QUALITIES[quality]);
    }

    async set_dimensions({ sid, width, height }) {
      this.remotePublication(sid).setVideoDimensions({ width, height });
    }

    async resize({ sid, width, height }) {
      const element = this.elements.get(sid);
      element.style.width = `${width}px`;
      element.style.height = `${height}px`;
    }

    // Reads the picture on screen: its mean brightness and a hash that changes with the picture.
    async look({ sid }) {
      const element = this.elements.get(sid);
      if (!element || element.videoWidth === 0) return null;
      const canvas = new OffscreenCanvas(64, 36);
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(element, 0, 0, canvas.width, canvas.height);
      const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
      let sum = 0;
      for (let i = 0; i < data.length; i += 4) sum += data[i] + data[i + 1] + data[i + 2];
      return {
        mean: sum / ((data.length / 4) * 3),
        hash: await sha256(data),
        width: element.videoWidth,
        height: element.videoHeight,
      };
    }

    // Loudness of the left ear and pitch of both, now.
    async hear({ sid }) {
      if (!this.listeners.has(sid)) {
        const context = new AudioContext({ sampleRate: 48000 });
        await context.resume();
        const track = this.remotePublication(sid).track.mediaStreamTrack;
        const source = new MediaStreamAudioSourceNode(context, {
          mediaStream: new MediaStream([track]),
        });
        const splitter = new ChannelSplitterNode(context, { numberOfOutputs: 2 });
        const ears = [0, 1].map((channel) => {
          const ear = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
          splitter.connect(ear, channel);
          return ear;
        });
        source.connect(splitter);
        this.listeners.set(sid, ears);
      }
      const [left, right] = this.listeners.get(sid);
      const wave = new Float32Array(left.fftSize);
      left.getFloatTimeDomainData(wave);
      return {
        rms: Math.sqrt(wave.reduce((sum, sample) => sum + sample * sample, 0) / wave.length),
        frequency: pitch(left),
        frequencyRight: pitch(right),
      };
    }

    // Measures the pauses between pictures put on screen, from here on.
    async forget_gaps({ sid }) {
      const element = this.elements.get(sid);
      const gaps = { last: 0, longest: 0, element };
      const note = (now) => {
        if (this.gapsOf.get(sid) !== gaps) return;
        if (gaps.last) gaps.longest = Math.max(gaps.longest, now - gaps.last);
        gaps.last = now;
        element.requestVideoFrameCallback(note);
      };
      this.gapsOf.set(sid, gaps);
      element.requestVideoFrameCallback(note);
    }

    // The longest pause between two pictures since `forget_gaps`, in milliseconds.
    async gaps({ sid }) {
      const gaps = this.gapsOf.get(sid);
      return { longestGap: Math.max(gaps.longest, performance.now() - gaps.last) };
    }

    // -- data

    async send_data({ payload, reliable = true, topic = "", to = [] }) {
      await this.room.localParticipant.publishData(toBytes(payload), {
        reliable,
        topic,
        destinationIdentities: to,
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

    async send_text({ text, topic = "text", to = [] }) {
      await this.room.localParticipant.sendText(text, { topic, destinationIdentities: to });
    }

    async send_bytes({ payload, topic = "bytes", to = [] }) {
      const bytes = toBytes(payload);
      const writer = await this.room.localParticipant.streamBytes({
        name: "blob",
        topic,
        destinationIdentities: to,
        totalSize: bytes.length,
      });
      await writer.write(bytes);
      await writer.close();
    }

    async set_metadata({ metadata }) {
      await this.room.localParticipant.setMetadata(metadata);
    }

    async set_name({ name }) {
      await this.room.localParticipant.setName(name);
    }

    async set_attributes({ attributes }) {
      await this.room.localParticipant.setAttributes(attributes);
    }

    // -- looking

    async state() {
      const view = (p) => ({
        sid: p.sid,
        identity: p.identity,
        name: p.name ?? "",
        metadata: p.metadata ?? "",
        attributes: { ...p.attributes },
        quality: p.connectionQuality,
        speaking: p.isSpeaking,
        permissions: p.permissions ? JSON.parse(p.permissions.toJsonString()) : null,
        tracks: [...p.trackPublications.values()].map((t) => ({
          sid: t.trackSid,
          name: t.trackName,
          kind: t.kind,
          source: t.source,
          muted: t.isMuted,
          mime: t.mimeType ?? "",
          width: t.dimensions?.width ?? 0,
          height: t.dimensions?.height ?? 0,
          simulcast: t.simulcasted ?? false,
          subscribed: t.track !== undefined,
          streamState: t.track?.streamState,
        })),
      });
      const { room } = this;
      return {
        connected: room.state === "connected",
        state: room.state,
        local: view(room.localParticipant),
        remote: Object.fromEntries(
          [...room.remoteParticipants.values()].map((p) => [p.identity, view(p)]),
        ),
        metadata: room.metadata ?? "",
      };
    }

    // What arrives, by SSRC.
    async streams() {
      const { at, inbound } = await this.stats();
      return {
        at,
        streams: Object.fromEntries(Object.values(inbound).map((entry) => [entry.ssrc, entry])),
      };
    }

    // Per-track statistics, keyed by track sid.
    async stats() {
      const inbound = {};
      const outbound = {};
      for (const participant of this.room.remoteParticipants.values()) {
        for (const publication of participant.trackPublications.values()) {
          const [entry] = await flatten(publication.track?.receiver, "inbound-rtp");
          if (entry) inbound[publication.trackSid] = { identity: participant.identity, ...entry };
        }
      }
      for (const publication of this.room.localParticipant.trackPublications.values()) {
        outbound[publication.trackSid] = await flatten(publication.track?.sender, "outbound-rtp");
      }
      return { at: Date.now() / 1000, inbound, outbound };
    }
  }

  function pitch(ear) {
    const spectrum = new Float32Array(ear.frequencyBinCount);
    ear.getFloatFrequencyData(spectrum);
    return (spectrum.indexOf(Math.max(...spectrum)) * ear.context.sampleRate) / ear.fftSize;
  }

  async function flatten(end, type) {
    if (!end) return [];
    const report = await end.getStats();
    const flat = [];
    for (const stat of report.values()) {
      if (stat.type !== type) continue;
      flat.push({ ...stat, mime: report.get(stat.codecId)?.mimeType ?? "" });
    }
    return flat;
  }

  window.clients = {
    events,
    // For looking into a session by hand, from the browser's console.
    room: (name) => clients.get(name)?.room,
    async call(name, op, args) {
      if (op === "connect" || !clients.has(name)) clients.set(name, new Client(name));
      return (await clients.get(name)[op](args)) ?? null;
    },
  };
})();
