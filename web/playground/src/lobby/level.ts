/** How loud a microphone is, for a bar that moves. */

/** dBFS shown as an empty bar; room noise of an ordinary microphone lies about there. */
const FLOOR_DB = -60;

/** Maps samples of −1..1 to 0..1 on a decibel scale, as ears judge loudness. */
export function levelOf(samples: Float32Array): number {
  if (samples.length === 0) return 0;
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const rms = Math.sqrt(sum / samples.length);
  if (rms === 0) return 0;
  const decibels = 20 * Math.log10(rms);
  return Math.min(1, Math.max(0, 1 - decibels / FLOOR_DB));
}

/** Calls `onLevel` once per drawn frame with the track's level until the returned function is called. */
export function watchLevel(track: MediaStreamTrack, onLevel: (level: number) => void): () => void {
  const context = new AudioContext();
  const source = context.createMediaStreamSource(new MediaStream([track]));
  const analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  // Without a click the context may start suspended; any click wakes it.
  const wake = () => void context.resume();
  window.addEventListener("pointerdown", wake);
  let shown = 0;
  let frame = requestAnimationFrame(function draw() {
    analyser.getFloatTimeDomainData(samples);
    // Falls slowly, so that the eye sees short sounds.
    shown = Math.max(levelOf(samples), shown * 0.9);
    onLevel(shown);
    frame = requestAnimationFrame(draw);
  });
  return () => {
    cancelAnimationFrame(frame);
    window.removeEventListener("pointerdown", wake);
    source.disconnect();
    void context.close();
  };
}

/** Plays half a second of a quiet tone on a speaker (empty id: the default one). */
export async function playTestSound(speakerId: string): Promise<void> {
  const context = new AudioContext();
  const tone = context.createOscillator();
  const volume = context.createGain();
  const output = context.createMediaStreamDestination();
  tone.frequency.value = 523;
  volume.gain.setValueAtTime(0, context.currentTime);
  volume.gain.linearRampToValueAtTime(0.2, context.currentTime + 0.05);
  volume.gain.linearRampToValueAtTime(0, context.currentTime + 0.5);
  tone.connect(volume).connect(output);
  const element = new Audio();
  element.srcObject = output.stream;
  if (speakerId && "setSinkId" in element) await element.setSinkId(speakerId).catch(() => {});
  tone.start();
  tone.stop(context.currentTime + 0.5);
  tone.addEventListener("ended", () => {
    element.srcObject = null;
    void context.close();
  });
  await element.play();
}
