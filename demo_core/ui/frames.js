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

// Two rows have one moment; the one that has fewer frames waits at its last.
function frameNow(row) { return row.frames[Math.min(moment, row.frames.length - 1)]; }
function rows() { return reel.beside ? [reel, reel.beside] : [reel]; }
function longest() { return rows().reduce((one, other) => (other.frames.length > one.frames.length ? other : one)); }
function end() { return longest().frames.length - 1; }
function endOf(act) { return longest().frames.findLastIndex((frame) => frame.act === act); }

// The newest frame of an act of a row that is not after this moment.
function latest(act, row = reel) {
  for (let i = Math.min(moment, row.frames.length - 1); i >= 0; i--) if (row.frames[i].act === act) return i;
  return -1;
}

// The perturbations, as [levels, grey levels that one of them stands for], that make up a picture by its name.
function parts(name) {
  const row = rowOf(name);
  if (name === "clean") return [];
  if (!row) return null;
  const attack = latest(1, row), defence = latest(3, row);
  if (name === "attacked") return attack < 0 ? null : [layer(row.frames[attack])];
  if (defence < 0) return null;
  return reel.control || attack < 0 ? [layer(row.frames[defence])] : [layer(row.frames[attack]), layer(row.frames[defence])];
}

function layer(frame) { return [frame.values, frame.scale / frame.levels]; }

// Which row a picture is of, by its name.
function rowOf(name) { return name === "beside" ? reel.beside : reel; }

// What came last, joined to what was there: a message holds the frames from `since` on, and of all else what has changed.
// null where one was missed.
function joined(given) {
  const known = given.since ? reel?.run === given.run && reel.frames : [];
  if (!known || given.since > known.length) return null;
  const found = { ...(given.since ? reel : {}), ...given, frames: [...known.slice(0, given.since), ...given.frames.map((f) => ({ ...f }))] };
  if (!given.beside) return found;
  const before = Math.max(found.frames.findIndex((frame) => frame.act > 1), 0), { since, frames } = given.beside;
  const first = since <= before ? found.frames : reel?.run === given.run ? reel.beside?.frames : null;  // up to the test they are the same
  if (!first || since > first.length) return null;
  return { ...found, beside: { ...given.beside, frames: [...first.slice(0, since), ...frames.map((f) => ({ ...f }))] } };
}
