// What the page answers: a pasted text, a structure, and from them the value, its plain form, and what is
// missing. A missing byte never counts as zero, as in show/partial.py.

/** What was pasted, read for a structure: {dump, data, gaps, said}. `isNumber`: it is one number. */
function given(text, key, isNumber = false) {
  const of = key ? structureOf(key) : null;
  const size = of?.size ?? 0;
  const value = isNumber ? numberIn(text) : null;
  const dump = value
    ? dumpOf(value.data, saidOf(value), { isRows: false, values: [value] })
    : readDump(text, size);
  const one = dump.values.length === 1 ? dump.values[0] : null;
  const data = one && of ? sized(one, size) : dump.data;
  const gaps = [...dump.gaps];
  const isPart = of && !of.whole && dump.isRows && data.length < size && size > WORD;
  if (isPart) gaps.push([data.length, size]);
  return { dump, data: isPart ? _filled(data, size) : data, gaps, said: one ? saidOf(one) : dumpText(dump) };
}

function _filled(data, size) {
  const made = new Uint8Array(size);
  made.set(data);
  return made;
}

/** `1072 bytes, lines of xxd or print_hex_dump`. */
function dumpText(dump) {
  const from = dump.address ? `from address ${shown(dump.address)}` : "";
  return [countOf(dump.data.length, "byte"), dump.form, dump.order, from].filter(Boolean).join(", ");
}

/** How many bytes of a leaf are missing. */
function missingIn(leaf, gaps) {
  const [first, stop] = [leaf.start >> 3, (leaf.start + leaf.width + 7) >> 3];
  return gaps.reduce((sum, [from, to]) => sum + Math.max(0, Math.min(to, stop) - Math.max(from, first)), 0);
}

/** The rules that the value breaks, whatever the missing bytes are. */
function certainProblems(value, gaps) {
  const found = problemsOf(value);
  if (!gaps.length) return found;
  const data = Uint8Array.from(value.data);
  for (const [from, to] of gaps) data.fill(0xff, from, to);
  const others = new Set(problemsOf(decode(value.key, data)).map((problem) => problem.text));
  const unknown = new Set();
  for (const leaf of leavesOf(value)) if (missingIn(leaf, gaps)) unknown.add(leaf.path);
  return found.filter((problem) => others.has(problem.text) && !unknown.has(problem.path));
}

/** The value as `vmgexit decode --json` prints it, as text: numbers may be larger than a script's. */
function jsonOf(value, gaps = []) {
  const entries = [_inner(value, gaps)];
  const message = gaps.length ? null : messageOf(value);
  if (message) entries.push(`"message": ${_named(message)}`);
  const bodies = gaps.length ? [] : bodiesOf(value);
  if (bodies.length) {
    let room = value.data.length;
    const made = bodies.map((body) => {
      room -= body.held.length;
      return _bodyJson(body, room >= 0);
    });
    entries.push(`"bodies": [${made.join(", ")}]`);
  }
  return `{${entries.join(", ")}}`;
}

const _named = (value) => `{"structure": "${value.of.name}", ${_inner(value, [])}}`;

function _plain({ field, held, at }, owner, gaps) {
  if (field.kind === "struct") return `{${_inner(held, gaps)}}`;
  if (field.kind === "array") return `[${held.map((each) => `{${_inner(each, gaps)}}`).join(", ")}]`;
  const start = 8 * at + (owner.of.bits ? field.at ?? 0 : 0);
  if (gaps.length && missingIn({ start, width: field.width }, gaps)) return "null";
  return held instanceof Uint8Array ? `"${hexOf(held)}"` : String(held);
}

const _inner = (value, gaps) =>
  value.parts.map((part) => `${JSON.stringify(part.field.name)}: ${_plain(part, value, gaps)}`).join(", ");

function _bodyJson(body, withBytes) {
  const value = bodyValue(body);
  const held = value ? `, ${_named(value).slice(1, -1)}` : withBytes ? `, "hex": "${hexOf(body.held)}"` : "";
  const names = `"path": ${JSON.stringify(body.path)}, "name": ${JSON.stringify(body.name)}`;
  return `{${names}, "offset": ${body.offset}, "length": ${body.length}${held}}`;
}

// --- What the tests ask ---------------------------------------------------------------------------

/** A dump as plain data, or {error}. */
function readAnswer(text, size = 0) {
  try {
    const dump = readDump(text, size);
    return {
      data: hexOf(dump.data), form: dump.form, order: dump.order, gaps: dump.gaps, notes: dump.notes,
      address: dump.address === null ? null : String(dump.address), skipped: dump.skipped,
      is_rows: dump.isRows, other: hexOf(dump.other),
      values: dump.values.map((value) => [value.kind, hexOf(value.data), value.written]),
    };
  } catch (error) {
    if (error instanceof DecodeError) return { error: error.message };
    throw error;
  }
}

/** A text decoded as a structure, with what is missing, or {error}. */
function givenAnswer(text, key) {
  try {
    const { data, gaps } = given(text, key);
    const value = decode(key, data);
    return { json: jsonOf(value, gaps), problems: certainProblems(value, gaps).map((problem) => problem.text) };
  } catch (error) {
    if (error instanceof DecodeError) return { error: error.message };
    throw error;
  }
}

/** A value as JSON text, the rules that it breaks, the structures whose own rules are not judged. */
function valueAnswer(key, hex) {
  const value = decode(key, unhexed(hex));
  return { json: jsonOf(value), problems: problemsOf(value).map(({ text }) => text), unjudged: [...unjudgedIn(value)] };
}
