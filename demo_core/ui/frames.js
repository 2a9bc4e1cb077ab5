// What is known at a moment of a reel: its frames, with their perturbations unpacked.

// The bytes of a frame's perturbation.
async function inflated(frame) {
  const packed = Uint8Array.from(atob(frame.delta), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Int8Array(await new Response(stream).arrayBuffer());
}

// The perturbation of a frame, plane by plane, from the bytes that came with it and the earlier frames of its act that are
// written in the same unit (see grid.py).
function unpacked(bytes, frame, earlier) {
  const before = earlier.at(-1), top = frame.levels;
  if (frame.weights) {
    const sum = new Float64Array(bytes.length);
    earlier.forEach((values, step) => { for (let i = 0; i < sum.length; i++) sum[i] += frame.weights[step] * values[i]; });
    for (let i = 0; i < sum.length; i++) bytes[i] += Math.floor(sum[i] + 0.5);
  } else if (before && frame.stride) {
    const found = bytes.subarray(bytes.length - before.length);
    for (let i = 0; i < found.length; i++)
      found[i] += clamp(before[i] + (bytes[i >> 3] >> (7 - i & 7) & 1 ? frame.stride : -frame.stride), -top, top);
    return found.slice();
  } else if (before) for (let i = 0; i < bytes.length; i++) bytes[i] += before[i];
  return bytes;
}

// Gives every frame that has none its perturbation: all of them are kept, so that going back and forth is instant.
async function unpack(frames) {
  const bytes = await Promise.all(frames.map((f) => (f.delta && !f.values ? inflated(f) : null)));
  frames.forEach((frame, i) => {
    if (bytes[i]) frame.values = unpacked(bytes[i], frame, frames.slice(0, i).filter((f) => f.act === frame.act && f.scale === frame.scale).map((f) => f.values));
    frame.delta = "";
  });
}

// The newest frame of an act that is not after this moment.
function latest(act, until = now) {
  for (let i = Math.min(until, reel.frames.length - 1); i >= 0; i--) if (reel.frames[i].act === act) return i;
  return -1;
}

// The perturbations, as [levels, grey levels that one of them stands for], that make up a picture by its name.
function parts(name) {
  const attack = latest(1), defence = latest(3);
  if (name === "clean") return [];
  if (name === "attacked") return attack < 0 ? null : [layer(attack)];
  if (defence < 0) return null;
  return reel.control || attack < 0 ? [layer(defence)] : [layer(attack), layer(defence)];
}

function layer(index) { return [reel.frames[index].values, reel.frames[index].scale / reel.frames[index].levels]; }
