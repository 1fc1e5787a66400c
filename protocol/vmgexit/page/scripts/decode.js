// Bytes to values by the declarations as data, and back. A value knows its structure, its place and its
// parts; numbers are BigInts, as fields may have 64 bits and more.

let DATA = null; // what described.py made of the declarations

const structureOf = (key) => {
  if (!Object.hasOwn(DATA.structures, key)) throw new DecodeError(`${brief(key)} is no structure`);
  return DATA.structures[key];
};

const bytesOfField = (field) => field.width / 8;
const maskOf = (width) => (1n << BigInt(width)) - 1n;

/** The structure that all of these bytes hold: {key, of, data, at, parts}; `at` counts from the first byte. */
function decode(key, data) {
  const of = structureOf(key);
  const fits = of.whole ? data.length >= (of.size ?? 0) : data.length === of.size;
  if (!fits) throw new DecodeError(_wrongLength(of, data.length));
  return _decoded(key, data, 0);
}

function _wrongLength(of, found) {
  return `${of.name}: ${found} bytes found, ${of.size ?? 0}${of.whole ? " or more" : ""} expected`;
}

function _decoded(key, data, at) {
  const of = structureOf(key);
  const word = of.bits ? numberOf(data) : 0n;
  const fields = of.whole ? _shape(of, data) : of.fields;
  const value = { key, of, data, at, parts: [] };
  for (const field of fields) value.parts.push(_part(field, of, data, word, at));
  return value;
}

function _part(field, of, data, word, base) {
  const start = Math.floor((field.at ?? 0) / 8);
  const part = { field, held: null, at: base + (of.bits ? 0 : start) };
  const bytes = of.bits ? null : data.subarray(start, start + bytesOfField(field));
  const number = () => (of.bits ? (word >> BigInt(field.at ?? 0)) & maskOf(field.width) : numberOf(bytes));
  if (field.kind === "struct") part.held = _decoded(field.of, bytes, part.at);
  else if (field.kind === "array") {
    const step = structureOf(field.of).size;
    part.held = Array.from({ length: bytes.length / step }, (_, at) =>
      _decoded(field.of, bytes.subarray(at * step, (at + 1) * step), part.at + at * step),
    );
  } else if (field.kind === "bytes") part.held = bytes;
  else if (field.kind === "flag") part.held = number() === 1n;
  else part.held = number();
  return part;
}

/** What stands at a path, such as `header.entry_count`. */
function reach(value, path) {
  return path.split(".").reduce((held, name) => held.parts.find((part) => part.field.name === name).held, value);
}

/** The code that a number is, [name, meaning]; null where it has no name. */
function codeOf(field, held) {
  if (!field.codes) return null;
  const found = DATA.codes[field.codes].find(([value]) => BigInt(value) === BigInt(held));
  return found ? found.slice(1) : null;
}

const isZero = (held) =>
  held instanceof Uint8Array ? !held.some(Boolean) : held === false || held === 0n;

// --- Structures of any length ---------------------------------------------------------------------

const listOf = (of) => of.fields.find((field) => field.list);

/** The fields of a structure of any length, as long as these bytes make them. */
function _shape(of, data) {
  const field = listOf(of);
  const start = Math.floor((field.at ?? 0) / 8);
  const step = structureOf(field.of).size;
  const room = Math.min(Math.floor((data.length - start) / step), field.list.most);
  const there = field.list.until
    ? _until(field, data, start, step, room)
    : Number(_least(BigInt(room), _wanted(of, field, data.subarray(0, start))));
  const rest = of.fields[of.fields.length - 1];
  const restAt = 8 * (start + there * step);
  return of.fields.map((each) => {
    if (each === field) return { ...each, width: 8 * there * step };
    return each === rest ? { ...each, at: restAt, width: 8 * data.length - restAt } : each;
  });
}

const _least = (a, b) => (a < b ? a : b);

/** How many elements a field says that there are. */
function _wanted(of, field, fixed) {
  const parts = of.fields.filter((each) => each !== field && !each.rest);
  const value = { parts: parts.map((each) => _part(each, of, fixed, 0n, 0)) };
  return wantedOf(field.list, value);
}

const wantedOf = (list, value) =>
  reach(value, list.count ?? list.last) + (list.last ? 1n : 0n);

const endsList = (list, element) =>
  list.until.every((name) => isZero(reach(element, name)));

/** How many elements there are with the one that ends the list; else up to the first body. */
function _until(field, data, start, step, most) {
  let first = data.length;
  for (let at = 0; at < most; at++) {
    const begin = start + at * step;
    if (begin >= first) return at;
    const element = _decoded(field.of, data.subarray(begin, begin + step), begin);
    if (endsList(field.list, element)) return at + 1;
    if (field.list.bodies) {
      const offset = Number(reach(element, field.list.bodies.offset));
      if (offset > begin && reach(element, field.list.bodies.length)) first = Math.min(first, offset);
    }
  }
  return most;
}

/** What the elements of the list point to. `held`: what the bytes have of a body. */
function bodiesOf(value) {
  const field = value.of.whole ? listOf(value.of) : null;
  if (!field || !field.list.bodies) return [];
  const { offset, length, names, little } = field.list.bodies;
  const found = [];
  reach(value, field.name).forEach((element, at) => {
    if (field.list.until && endsList(field.list, element)) return;
    const guid = reach(element, "guid");
    const [name, of] = names[hexOf(guid)] ?? [guidText(guid, little), ""];
    const [start, size] = [Number(reach(element, offset)), Number(reach(element, length))];
    const held = value.data.subarray(start, start + size);
    found.push({ path: `${field.name}[${at}]`, name, offset: start, length: size, held, of });
  });
  return found;
}

function guidText(data, little) {
  const order = little ? [3, 2, 1, 0, 5, 4, 7, 6] : [0, 1, 2, 3, 4, 5, 6, 7];
  const digits = hexOf([...order.map((at) => data[at]), ...data.slice(8)]);
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

const accepts = (of, length) => (of.whole ? length >= (of.size ?? 0) : length === of.size);

/** What a body is by its own structure; null where it has none, or another length. */
function bodyValue(body) {
  if (!body.of || body.held.length < body.length || !accepts(structureOf(body.of), body.length)) return null;
  return _decoded(body.of, body.held, body.offset);
}

// --- Messages -------------------------------------------------------------------------------------

/** A GHCB MSR word by the declaration of its own code; null where it has none. */
function messageOf(value) {
  const { of, by } = DATA.messages;
  if (value.key !== of) return null;
  const key = by[String(value.parts[0].held)];
  return key ? _decoded(key, value.data, value.at) : null;
}

// --- Leaves ---------------------------------------------------------------------------------------

/** Every value that is no structure: {path, part, owner, start, width}, places in bits. */
function* leavesOf(value, prefix = "") {
  for (const part of value.parts) {
    const path = prefix + part.field.name;
    if (part.field.kind === "struct") yield* leavesOf(part.held, `${path}.`);
    else if (part.field.kind === "array") {
      for (const [at, element] of part.held.entries()) yield* leavesOf(element, `${path}[${at}].`);
    } else {
      const start = 8 * part.at + (value.of.bits ? part.field.at ?? 0 : 0);
      yield { path, part, owner: value, start, width: part.field.width };
    }
  }
}

/** The bytes with the leaf's bits replaced. */
function withBits(data, leaf, number) {
  const [first, stop] = [leaf.start >> 3, (leaf.start + leaf.width + 7) >> 3];
  const shift = BigInt(leaf.start & 7);
  const mask = maskOf(leaf.width) << shift;
  const old = numberOf(data.subarray(first, stop));
  const made = Uint8Array.from(data);
  made.set(bytesOf((old & ~mask) | (number << shift), stop - first), first);
  return made;
}
